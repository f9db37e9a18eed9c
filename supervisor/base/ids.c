/* SPDX-License-Identifier: Apache-2.0
 *
 * The counter is the size of the empty file state/ids: nothing to parse, and no
 * moment in which it is half written. It says how far numbers are reserved, a
 * thousand at a time. The first reservation is on the disk before it is used.
 * Later ones are not waited for (the loop must not wait for a disk) but made
 * when five hundred are left: by then the kernel has long written them.
 */
#include "supervisor/base/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"

#define BATCH 1000
#define IDS_MAX (UINT64_C(1) << 38) /* the manager shifts them: beyond, somebody has played with the file */

int ids_open(struct ids *ids, int state_fd) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        uint64_t next;

        fd = openat(state_fd, "ids", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > IDS_MAX)
                return -EINVAL;
        next = st.st_size ? (uint64_t)st.st_size : 1;
        if (ftruncate(fd, (off_t)(next + BATCH)) < 0 || fsync(fd) < 0)
                return -errno;
        if (!st.st_size && fsync(state_fd) < 0)
                return -errno;
        *ids = (struct ids){ .fd = TAKE_FD(fd), .next = next, .end = next + BATCH };
        return 0;
}

uint64_t ids_take(struct ids *ids) {
        if (ids->end - ids->next <= BATCH / 2) {
                ids->end += BATCH;
                if (ftruncate(ids->fd, (off_t)ids->end) < 0)
                        log_warning("state/ids: %s; the next base may give numbers again", strerrordesc_np(errno));
        }
        return ids->next++;
}

void ids_close(struct ids *ids) {
        ids->fd = fd_close(ids->fd);
}
