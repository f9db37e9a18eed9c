/* SPDX-License-Identifier: Apache-2.0
 *
 * The layers of a worker's sandbox: what the template prepares once and what a
 * worker does with it between its fork and the first byte of its module.
 */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/control.h"

#define SANDBOX_PATHS_MAX 32

/* Prepared in the template, inherited by every worker. */
struct sandbox {
        uint32_t enforced;       /* enum enforced: the layers that this host really gives */
        bool root;               /* uids of their own, in a user namespace */
        int network_fd;          /* the empty network namespace, -1 = none */
        int landlock_abi;        /* 0 = the kernel has no Landlock */
        uint64_t inherited_data; /* bytes of data that a worker has from the template */
        uint32_t n_paths, n_resolver_paths;
        struct sandbox_path {
                int fd;
                uint64_t access;
        } paths[SANDBOX_PATHS_MAX]; /* what every worker may use; behind them what network = host adds */
};

void sandbox_init(struct sandbox *sandbox);
void sandbox_deinit(struct sandbox *sandbox);

/* Users ------------------------------------------------------------------------------------------------------------ */

/* Leaves the initial user namespace as this uid of the host, which then owns the new one; the maps are for the base to
 * write. 0 or -errno. */
int sandbox_users_unshare(uid_t uid, gid_t gid);
/* Once they are written: becomes root of the new namespace, which is nobody outside. 0 or -errno. */
int sandbox_users_enter(void);
/* There: what each uid of the namespace may have at most of what the kernel counts by user. 0 or -errno. */
int sandbox_users_limit(void);
/* Worker: takes its ids; every capability goes with them, and that is checked. 0 or -errno. */
int sandbox_users_drop(uid_t uid, gid_t gid);
/* Who keeps his ids in a user namespace of his own gives up what that gave him. 0 or -errno. */
int sandbox_capabilities_drop(void);

/* Network ---------------------------------------------------------------------------------------------------------- */

/* Makes a network namespace with nothing in it, owned by the caller's user namespace, without entering it.
 * Its descriptor or -errno. */
int sandbox_network_new(void);
int sandbox_network_enter(int network_fd);

/* Landlock --------------------------------------------------------------------------------------------------------- */

/* Opens what every worker may use, once. */
void sandbox_landlock_prepare(struct sandbox *sandbox);
struct sandbox_grants {
        int package, work, data; /* folders; -1 = none */
        const char *const *read, *const *write;
        uint32_t n_read, n_write;
        bool network_host;
};
/* Worker: confines the caller. 0; -errno, and *ret_path names the path of the settings that it was about, or NULL. */
int sandbox_landlock_apply(const struct sandbox *sandbox, const struct sandbox_grants *grants, const char **ret_path);

/* System calls ----------------------------------------------------------------------------------------------------- */

/* Template: loads the allow-list for itself and all its descendants. 0 or -errno. */
int sandbox_seccomp_load(void);

/* Worker: what the template may and this worker may not. flags: enum fork_flags. */
#define SANDBOX_FILTER_MAX 176
/* Assembles the filter for a process with this pid; the number of instructions. Pure. */
size_t sandbox_filter_build(const struct sandbox *sandbox, uint32_t flags, pid_t pid, struct sock_filter ret_code[SANDBOX_FILTER_MAX]);
int sandbox_filter_load(const struct sandbox *sandbox, uint32_t flags);

/* Asynchronous input and output ------------------------------------------------------------------------------------ */

struct io_uring_params;
/* Worker, before its own filter: a ring on which can be asked for what the filter lets through anyway. Its descriptor or -errno
 * (-EPERM, -ENOSYS: the host has none to give). */
int sandbox_uring_new(const struct sandbox *sandbox, struct io_uring_params *ret_params);

/* Address layout --------------------------------------------------------------------------------------------------- */

/* Template: closes the holes between its mappings, so that sandbox_layout_shift() moves all that a worker maps. 0 or -errno. */
int sandbox_layout_close(void);
int sandbox_layout_shift(void);

/* Resource limits -------------------------------------------------------------------------------------------------- */

/* Template, when it has all that it will have: no core dumps, few waiting signals, which workers inherit, and what else
 * they do. 0 or -errno. */
int sandbox_rlimits_prepare(struct sandbox *sandbox);
/* Worker: so many files, and memory when no cgroup bounds it. 0 or -errno. */
int sandbox_rlimits_apply(const struct sandbox *sandbox, const struct control_fork_worker *asked);
