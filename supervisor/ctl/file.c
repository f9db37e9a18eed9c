/* SPDX-License-Identifier: Apache-2.0
 *
 * A pipe or a device that a person has named by mistake is not waited for.
 */
#include "supervisor/ctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fd.h"

int file_read(int folder_fd, const char *path, char **ret_text, size_t *ret_size) {
        _cleanup_close_ int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size > FILE_SMALL_MAX)
                return -EFBIG;
        text = calloc(1, (size_t)st.st_size + 1);
        if (!text)
                return -ENOMEM;
        r = fd_pread_all(fd, text, (size_t)st.st_size, 0);
        if (r < 0)
                return r;
        *ret_size = (size_t)st.st_size;
        *ret_text = TAKE_PTR(text);
        return 0;
}

int file_begin(struct new_file *ret_file, const char *path) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_free_ char *temporary = NULL;
        int fd;

        if (asprintf(&temporary, "%.*s.%s.XXXXXX", (int)(name - path), path, name) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_file = (struct new_file){ .fd = fd, .path = path, .temporary = TAKE_PTR(temporary) };
        return 0;
}

int file_finish(struct new_file *file, mode_t mode) {
        mode_t mask = umask(0);

        umask(mask);
        if (fchmod(file->fd, mode & ~mask) < 0 || fsync(file->fd) < 0 || rename(file->temporary, file->path) < 0)
                return -errno;
        free(file->temporary);
        file->temporary = NULL;
        return 0;
}

void file_deinit(struct new_file *file) {
        fd_close(file->fd);
        if (file->temporary)
                unlink(file->temporary);
        free(file->temporary);
        *file = NEW_FILE_NONE;
}
