/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers around file descriptors. Every descriptor that leaves here is
 * close-on-exec.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/cleanup.h"

/* A connected pair of SOCK_SEQPACKET sockets, both O_NONBLOCK. 0 or -errno. */
int fd_socketpair(int ret_fds[2]);

/* A pipe whose ends are both O_NONBLOCK: [0] read, [1] write. 0 or -errno. */
int fd_pipe(int ret_fds[2]);

/* A new pair by one of these two: its [0] takes the place of *kept, which is closed when it is one, [1] is to be given away. 0 or
 * -errno. */
int fd_pair_renew(int (*make)(int ret_fds[2]), int *kept, int *ret_given);

/* A duplicate with close-on-exec. The new fd or -errno. */
int fd_dup(int fd);

/* Sets or clears O_NONBLOCK of the open file. 0 or -errno. */
int fd_set_nonblock(int fd, bool on);

/* Sets or clears close-on-exec. 0 or -errno. */
int fd_set_cloexec(int fd, bool on);

/* Writes or reads all of it, retrying on EINTR. 0, or -errno (-EIO for a short end). */
int fd_write_all(int fd, const void *data, size_t size);
int fd_pread_all(int fd, void *data, size_t size, uint64_t offset);

/* Allows this process as many descriptors as it may allow itself; so many, or -errno. */
int64_t fd_allow_most(void);

/* Closes every descriptor >= 3 that is not in keep[] (sorted or not). 0 or -errno. */
int fd_close_all_except(const int *keep, size_t n_keep);
