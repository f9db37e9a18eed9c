/* SPDX-License-Identifier: Apache-2.0
 *
 * Network: one empty namespace for all workers that have no network.
 *
 * To make one per worker costs a third of a millisecond and tails of several,
 * so one is made at start and entered by setns(). The template itself must not
 * enter it: there is no way back into the host's, for which a worker with
 * `network = host` needs a parent that is still there. So a helper process
 * unshares in its place. The helper shares the template's descriptor table:
 * what it opens as /proc/self/ns/net is the template's too, without anybody
 * having to be allowed to look into another process's /proc.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"

static int helper_main(void *arg) {
        int *result = arg;

        if (unshare(CLONE_NEWNET) < 0) {
                *result = -errno;
                return 0;
        }
        *result = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (*result < 0)
                *result = -errno;
        return 0;
}

int sandbox_network_new(void) {
        static _Alignas(16) char stack[64 * 1024];
        int result = -ECHILD;
        pid_t pid;

        /* CLONE_VFORK: we stand still until it has gone, so that sharing the memory is safe. */
        pid = clone(helper_main, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &result);
        if (pid < 0)
                return -errno;
        while (waitpid(pid, NULL, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return result;
}

int sandbox_network_enter(int network_fd) {
        return setns(network_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}
