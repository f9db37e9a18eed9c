/* SPDX-License-Identifier: Apache-2.0
 *
 * The base: the only process that ever has root. One struct holds all of it:
 * folders, roles, the table of instances (which is the fd store), listeners.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "ipc/control.h"
#include "supervisor/base/cgroup.h"
#include "supervisor/base/folders.h"
#include "supervisor/base/ids.h"
#include "supervisor/base/instances.h"
#include "supervisor/base/job.h"
#include "supervisor/base/listeners.h"
#include "supervisor/base/loop.h"
#include "supervisor/base/options.h"
#include "supervisor/base/renew.h"
#include "supervisor/base/roles.h"
#include "supervisor/base/uids.h"

#define BASE_EXIT_CONFIG 78
#define BOARD_SEGMENTS_MAX 65 /* the index and 64 others */

struct board_segment {
        struct control_board_segment body;
        int fd;
};
struct board {
        struct board_segment segments[BOARD_SEGMENTS_MAX];
        uint32_t n;
};

struct base {
        const struct options *options;
        bool root; /* started as root: uids of their own */
        int epoll_fd, lock_fd, admin_fd, inotify_fd;
        int kept_config; /* the manager's, for the next one; -1: none */
        struct watch signals;
        struct folders folders;
        struct control_boot_config config;
        struct listeners listeners;
        struct ids ids;
        uint64_t start_ns;
        uint32_t enforced;
        uint32_t confined; /* what the base has taken on itself */

        struct role roles[ROLE_SLOTS];
        uint32_t n_roles;
        struct renewal renewals[CONTROL_GATEWAYS_MAX];
        int installer_link; /* the manager's end of a fresh pair, until there is a manager */
        struct board board; /* the last complete set, for the next template */
        struct board board_coming;
        struct uids uids;
        struct cgroup cgroup;
        struct instance_list instances;
        uint32_t instances_max;
        struct instance *spare; /* spare.h */
        struct purge {
                struct job cleaner;
                uint64_t request;
                char name[CONTROL_NAME_SIZE], doomed[32]; /* what it was called, what it is called now */
        } purge;
        struct disk {
                struct job counter;
                uint64_t instance, began_ns, next_ns;
                bool folders; /* it counts those as well */
                bool grows;   /* somebody's folders, since the last look */
        } disk;
        uint64_t spare_due_ns;
        bool spare_is_stale;

        uint64_t next_look_ns;                   /* watchdog of the roles */
        uint64_t next_feed_ns, feed_interval_ns; /* of systemd's */
        bool modules_ready, told_ready;
        enum stage { STAGE_RUN, STAGE_CLOSE, STAGE_DRAIN, STAGE_KILL, STAGE_END } stage;
        uint64_t stage_until_ns;
        int exit_code;
};

/* All of a life: returns the exit status. */
int base_run(const struct options *options);

/* Ends everything as after a second TERM, with that exit status. */
void base_fail(struct base *base, int exit_code);
/* Says READY, once, when the template and what `[base] ready` asks for are. */
void base_check_ready(struct base *base);
void base_on_shutdown_done(struct base *base);

/* A second thought on what lies ahead: the earliest of two times. */
static inline uint64_t earliest(uint64_t a, uint64_t b) {
        return a < b ? a : b;
}
