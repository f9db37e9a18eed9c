/* SPDX-License-Identifier: Apache-2.0
 *
 * epoll with one event a turn: a turn of the base is a teardown or a spawn, a
 * batch of events would save nothing and could hold a watch that is gone.
 */
#include "supervisor/base/loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/base/base.h"

int loop_new(void) {
        int fd = epoll_create1(EPOLL_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int watch_start(struct base *base, struct watch *watch, int fd, uint32_t events, watch_fn fn, void *userdata) {
        struct epoll_event event = { .events = events, .data.ptr = watch };

        if (epoll_ctl(base->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
                fd_close(fd);
                return -errno;
        }
        *watch = (struct watch){ .fd = fd, .fn = fn, .userdata = userdata };
        return 0;
}

int watch_process(struct base *base, struct watch *watch, pid_t pid, watch_fn fn, void *userdata) {
        int fd = pidfd_open(pid, 0);

        return fd < 0 ? -errno : watch_start(base, watch, fd, EPOLLIN, fn, userdata);
}

int watch_change(struct base *base, struct watch *watch, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = watch };

        return epoll_ctl(base->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

void watch_stop(struct base *base, struct watch *watch) {
        if (watch->fd < 0)
                return;
        /* Explicitly: a duplicate of the descriptor would keep the entry alive. */
        epoll_ctl(base->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->fd = fd_close(watch->fd);
}

static int timeout_ms(uint64_t deadline_ns) {
        uint64_t now, ms;

        if (deadline_ns == UINT64_MAX)
                return -1;
        now = clock_now_ns();
        if (deadline_ns <= now)
                return 0;
        ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
        return ms > INT_MAX ? INT_MAX : (int)ms;
}

int loop_turn(struct base *base, uint64_t deadline_ns) {
        struct epoll_event event;
        int n;

        n = epoll_wait(base->epoll_fd, &event, 1, timeout_ms(deadline_ns));
        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        if (n > 0) {
                struct watch *watch = event.data.ptr;

                watch->fn(base, watch, event.events);
        }
        return 0;
}
