/* SPDX-License-Identifier: Apache-2.0
 *
 * The lock of a root. The file stays when the base goes: to remove it would
 * allow two holders of two files of one name.
 */
#include "supervisor/base/lock.h"

#include <errno.h>
#include <fcntl.h>

#include "ipc/cleanup.h"

int lock_take(int run_fd, int *ret_fd, pid_t *ret_holder) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _cleanup_close_ int fd = -1;

        fd = openat(run_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        while (fcntl(fd, F_SETLK, &lock) < 0) {
                if (errno != EACCES && errno != EAGAIN)
                        return -errno;
                if (fcntl(fd, F_GETLK, &lock) < 0)
                        return -errno;
                if (lock.l_type != F_UNLCK) {
                        *ret_holder = lock.l_pid;
                        return LOCK_E_HELD;
                }
                /* It ended in between. */
                lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}
