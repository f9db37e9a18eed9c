/* SPDX-License-Identifier: Apache-2.0
 *
 * Users: the template's own user namespace, and the ids of a worker in it.
 *
 * The template must be able to give each worker a uid of its own, and must not
 * be root to do so. It is exec'ed as root, because the loader may have to walk
 * a folder that only root can walk, and leaves the initial namespace as its
 * first act. From then on "root" means: all capabilities over things that
 * belong to the new namespace (its uids, its network namespace), none over the
 * machine. Ids that the base has not mapped do not exist for it.
 *
 * What a uid of the namespace has of inotify instances, of timers and of other
 * things that the kernel counts by user is charged to the namespace's owner as
 * well, which is who made it. Were that root, one worker could use up what the
 * machine's root may have. So the template becomes a uid of its own first, and
 * what all workers have together is charged to that one. What is left, that one
 * module takes it from the others, is what the limits of the namespace are for.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"

void sandbox_init(struct sandbox *sandbox) {
        *sandbox = (struct sandbox){ .network_fd = -1 };
}

void sandbox_deinit(struct sandbox *sandbox) {
        for (uint32_t i = 0; i < sandbox->n_paths + sandbox->n_resolver_paths; i++)
                fd_close(sandbox->paths[i].fd);
        fd_close(sandbox->network_fd);
        sandbox_init(sandbox);
}

static int keep_capabilities(uint32_t bits) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { .effective = bits, .permitted = bits } };

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int sandbox_capabilities_drop(void) {
        return keep_capabilities(0);
}

int sandbox_users_unshare(uid_t uid, gid_t gid) {
        int r;

        if (uid == 0 || gid == 0)
                return -EINVAL;
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(uid, uid, uid) < 0)
                return -errno;
        /* Hosts that let only the privileged make user namespaces want this one. */
        r = keep_capabilities(1u << CAP_SYS_ADMIN);
        if (r)
                return r;
        /* What was kept is gone with it: the new sets, and the flag, are the new namespace's. */
        return unshare(CLONE_NEWUSER) < 0 ? -errno : 0;
}

int sandbox_users_enter(void) {
        if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
                return -errno;
        return 0;
}

/* Per uid, which is a module. All of them together have what the host gives to one user: 128 inotify instances by default.
 * PID namespaces are for families (family.h), which the namespace's root makes; modules have the calls for none. */
static const struct {
        const char *name, *value;
} limits[] = {
        { "max_inotify_instances", "32" }, { "max_inotify_watches", "16384" }, { "max_fanotify_groups", "0" },
        { "max_fanotify_marks", "0" },     { "max_user_namespaces", "0" },     { "max_mnt_namespaces", "0" },
        { "max_pid_namespaces", "4096" },  { "max_net_namespaces", "0" },      { "max_ipc_namespaces", "0" },
        { "max_uts_namespaces", "0" },     { "max_cgroup_namespaces", "0" },   { "max_time_namespaces", "0" },
};

int sandbox_users_limit(void) {
        _cleanup_close_ int folder = open("/proc/sys/user", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (folder < 0)
                return -errno;
        for (size_t i = 0; i < N_ELEMENTS(limits); i++) {
                _cleanup_close_ int fd = openat(folder, limits[i].name, O_WRONLY | O_CLOEXEC);

                /* A kernel that does not have the thing does not have the limit. */
                if (fd < 0 && errno == ENOENT)
                        continue;
                if (fd < 0 || write(fd, limits[i].value, strlen(limits[i].value)) < 0)
                        return -errno;
        }
        return 0;
}

/* The kernel clears the sets when the last uid 0 goes. A securebits flag could stop it from doing so: look. */
static int check_no_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { 0 };

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        for (size_t i = 0; i < N_ELEMENTS(data); i++)
                if (data[i].effective || data[i].permitted)
                        return -EPERM;
        return 0;
}

int sandbox_users_drop(uid_t uid, gid_t gid) {
        /* Uid 0 would keep the capabilities; and no id that is not mapped can be taken, which the kernel checks. */
        if (uid == 0 || gid == 0)
                return -EINVAL;
        /* The libc's wrappers signal all threads to follow; there is one thread, and its tid was just born. */
        if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
                return -errno;
        return check_no_capabilities();
}
