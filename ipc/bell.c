/* SPDX-License-Identifier: Apache-2.0
 *
 * Bells carry nothing but that they rang.
 */
#include "ipc/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#define BELL_READS_MAX 17 /* a whole pipe, and the end behind it */

/* Only a pipe has a size to tell. fstat() would ask the file system, which may be the peer's own and never answer. */
int bell_check(int read_fd) {
        int flags = fcntl(read_fd, F_GETFL);

        if (flags < 0)
                return -errno;
        return fcntl(read_fd, F_GETPIPE_SZ) < 0 || (flags & O_ACCMODE) != O_RDONLY ? -EPROTO : 0;
}

/* Reading goes on to the bottom, for a last bell and the end behind it are one event of an edge-triggered set. A peer that
 * keeps writing must not keep us here, though: what is left then is read with its next bell, and only its end has to be
 * seen now.
 *
 * vmsplice() and not read(): the end that we hold is one open file with what the peer has kept of it, who can take
 * O_NONBLOCK away between any check and a read(), which would then wait for ever. Here the call itself says so. */
int bell_drain(int read_fd, bool *ret_hung_up) {
        struct pollfd end = { .fd = read_fd };
        char bells[PIPE_BUF];
        struct iovec room = { bells, sizeof(bells) };
        ssize_t n;

        *ret_hung_up = false;
        for (int i = 0; i < BELL_READS_MAX; i++) {
                n = vmsplice(read_fd, &room, 1, SPLICE_F_NONBLOCK);
                if (n == 0)
                        *ret_hung_up = true;
                if (n == 0 || (n < 0 && errno == EAGAIN))
                        return 0;
                /* Bells that stay unread fill the pipe, and then wakes are lost: better the end now than silence later. */
                if (n < 0 && errno != EINTR && errno != ENOMEM)
                        return -errno;
        }
        *ret_hung_up = poll(&end, 1, 0) > 0 && (end.revents & POLLHUP);
        return 0;
}

/* EAGAIN: thousands of bells lie there unread; one more says nothing new. */
int bell_write(int write_fd) {
        static const char bell = 1;

        return write(write_fd, &bell, 1) < 0 && errno == EPIPE ? -EPIPE : 0;
}

bool bell_is_deaf(int write_fd) {
        struct pollfd end = { .fd = write_fd };

        return poll(&end, 1, 0) > 0 && (end.revents & POLLERR);
}
