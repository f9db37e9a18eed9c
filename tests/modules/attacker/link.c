/* SPDX-License-Identifier: Apache-2.0
 *
 * The module puts itself between the manager and its own worker: it keeps the control link, gives the worker the end of a
 * pair instead, and passes on what comes. Of every descriptor that the manager sends it keeps a copy: memory and bells of
 * the directory, of the gateway, of topics. That is all that a worker ever has of others.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attempt.h"

#define FDS_MAX 8

int link_fd = -1, link_number = -1, loot[LOOT_MAX];
unsigned n_loot;
static int worker_fd;

static void keep(int fd) {
        if (n_loot == LOOT_MAX)
                return;
        loot[n_loot] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        n_loot += loot[n_loot] >= 0;
}

/* False: the other end has gone. */
static bool pass(int from, int to, bool steal) {
        static char bytes[65536];
        union {
                char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
                struct cmsghdr align;
        } control;
        struct iovec iov = { bytes, sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        size_t n_fds = n > 0 && c && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
        int fds[FDS_MAX];

        if (n <= 0)
                return n < 0 && errno == EAGAIN;
        if (n_fds)
                memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
        iov.iov_len = (size_t)n;
        if (!message.msg_controllen)
                message.msg_control = NULL;
        while (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
                if (errno != EAGAIN && errno != EINTR)
                        return false;
        for (size_t i = 0; i < n_fds; i++) {
                if (steal)
                        keep(fds[i]);
                close(fds[i]);
        }
        return true;
}

static void *between(void *unused) {
        struct pollfd polls[] = { { .fd = link_fd, .events = POLLIN }, { .fd = worker_fd, .events = POLLIN } };

        for (;;) {
                poll(polls, 2, -1);
                if ((polls[0].revents && !pass(link_fd, worker_fd, true)) || (polls[1].revents && !pass(worker_fd, link_fd, false)))
                        _exit(0);
        }
        return NULL;
}

static int find(void) {
        for (int fd = 3; fd < 256; fd++) {
                int type = 0;
                socklen_t size = sizeof(type);

                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
                        return fd;
        }
        return -1;
}

int link_take(void) {
        pthread_t thread;
        int pair[2];

        link_number = find();
        if (link_number < 0)
                return -ENOTCONN;
        link_fd = fcntl(link_number, F_DUPFD_CLOEXEC, 0);
        if (link_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        worker_fd = pair[0];
        if (dup3(pair[1], link_number, O_CLOEXEC) < 0)
                return -errno;
        close(pair[1]);
        return pthread_create(&thread, NULL, between, NULL) ? -EAGAIN : 0;
}
