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
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
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

int sandbox_users_unshare(void) {
        return unshare(CLONE_NEWUSER) < 0 ? -errno : 0;
}

int sandbox_users_enter(void) {
        if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
                return -errno;
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
