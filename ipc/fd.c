/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers around file descriptors.
 */
#include "ipc/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int fd_close(int fd) {
        int saved = errno;

        if (fd >= 0)
                close(fd);
        errno = saved;
        return -1;
}

int fd_socketpair(int ret_fds[2]) {
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0 ? -errno : 0;
}

int fd_pipe(int ret_fds[2]) {
        return pipe2(ret_fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

int fd_pair_renew(int (*make)(int ret_fds[2]), int *kept, int *ret_given) {
        int pair[2], r = make(pair);

        if (r)
                return r;
        fd_close(*kept);
        *kept = pair[0];
        *ret_given = pair[1];
        return 0;
}

int fd_dup(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        return copy < 0 ? -errno : copy;
}

static int fd_change(int fd, int get, int set, int flag, bool on) {
        int flags = fcntl(fd, get), wanted;

        if (flags < 0)
                return -errno;
        wanted = on ? flags | flag : flags & ~flag;
        if (wanted != flags && fcntl(fd, set, wanted) < 0)
                return -errno;
        return 0;
}

int fd_set_nonblock(int fd, bool on) {
        return fd_change(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on) {
        return fd_change(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_write_all(int fd, const void *data, size_t size) {
        const char *at = data;

        while (size) {
                ssize_t n = write(fd, at, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

int fd_pread_all(int fd, void *data, size_t size, uint64_t offset) {
        char *at = data;

        while (size) {
                ssize_t n = pread(fd, at, size, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                at += n;
                offset += (uint64_t)n;
                size -= (size_t)n;
        }
        return 0;
}

int64_t fd_allow_most(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        return (int64_t)MIN(limit.rlim_cur, (rlim_t)INT64_MAX);
}

static int compare_ints(const void *a, const void *b) {
        int x = *(const int *)a, y = *(const int *)b;

        return x < y ? -1 : x > y;
}

int fd_close_all_except(const int *keep, size_t n_keep) {
        _cleanup_free_ int *sorted = NULL;
        unsigned from = 3;

        if (n_keep) {
                sorted = malloc(n_keep * sizeof(*sorted));
                if (!sorted)
                        return -ENOMEM;
                for (size_t i = 0; i < n_keep; i++)
                        sorted[i] = keep[i];
                qsort(sorted, n_keep, sizeof(*sorted), compare_ints);
        }
        for (size_t i = 0; i < n_keep; i++) {
                if (sorted[i] < (int)from)
                        continue;
                if (sorted[i] > (int)from && close_range(from, (unsigned)sorted[i] - 1, 0) < 0)
                        return -errno;
                from = (unsigned)sorted[i] + 1;
        }
        return close_range(from, ~0u, 0) < 0 ? -errno : 0;
}
