/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable text files.
 */
#include "supervisor/manager/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/manager/boot-config.h"

#define STORE_SIZE_MAX (16u << 20)

int store_write(int folder, const char *name, const char *text, size_t size) {
        _cleanup_close_ int fd = -1;
        char temporary[128];
        int r;

        snprintf(temporary, sizeof(temporary), ".%s.new", name);
        fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, text, size);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r >= 0 && renameat(folder, temporary, folder, name) < 0)
                r = -errno;
        if (r >= 0 && fsync(folder) < 0)
                r = -errno;
        return r;
}

int store_read(int folder, const char *name, char **ret_text, size_t *ret_size) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -errno;
        return file_read(fd, STORE_SIZE_MAX, ret_text, ret_size);
}
