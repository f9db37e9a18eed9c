/* SPDX-License-Identifier: Apache-2.0
 *
 * The first process of a PID namespace has not ended before all others of it are
 * reaped, and some of them only we can reap. So nobody is waited for by himself:
 * all are killed, who has ended is reaped, and they are looked at again.
 */
#include "supervisor/base/children.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "ipc/clock.h"
#include "supervisor/base/base.h"
#include "supervisor/common/log.h"

#define END_MS 5000

bool child_is_known(const struct base *base, pid_t pid) {
        const struct instance *i;

        for (uint32_t n = 0; n < base->n_roles; n++)
                if (base->roles[n].pid == pid)
                        return true;
        if ((base->spare && base->spare->pid == pid) || base->purge.cleaner.pid == pid || base->disk.counter.pid == pid)
                return true;
        TAILQ_FOREACH(i, &base->instances, entry)
        if ((i->pid == pid && i->pidfd.fd >= 0) || i->init_pid == pid || i->cleaner.pid == pid)
                return true;
        return false;
}

void child_end(int pidfd) {
        struct pollfd ended = { .fd = pidfd, .events = POLLIN };
        siginfo_t info;
        int r;

        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        do
                r = poll(&ended, 1, END_MS);
        while (r < 0 && errno == EINTR);
        /* A clone's end may have no signal. */
        if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | __WALL) < 0 || r <= 0)
                log_error("a child of the template does not end: %s", strerrordesc_np(r ? errno : ETIME));
}

/* Read as it comes: at once the kernel gives a page of it at most. */
static uint32_t kill_strays(const struct base *base) {
        FILE *f = fopen("/proc/thread-self/children", "re");
        uint32_t n = 0;
        pid_t pid;

        while (f && fscanf(f, "%d", &pid) == 1) {
                if (child_is_known(base, pid))
                        continue;
                kill(pid, SIGKILL);
                waitpid(pid, NULL, WNOHANG | __WALL);
                n++;
        }
        if (f)
                fclose(f);
        return n;
}

void children_end_strays(const struct base *base) {
        uint64_t until_ns = clock_now_ns() + END_MS * NS_PER_MS;
        uint32_t n;

        /* Who was reaped is counted once more: he may have had a child meanwhile. */
        while ((n = kill_strays(base)) && clock_now_ns() < until_ns)
                poll(NULL, 0, 1);
        if (n)
                log_error("%u children that nobody knows do not end", n);
}
