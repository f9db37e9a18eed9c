/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable files. A name stands either for all of the former content or for all
 * of the new one, whenever the power goes.
 */
#include "supervisor/manager/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/folder.h"
#include "supervisor/manager/boot-config.h"

#define STORE_SIZE_MAX (16u << 20)

int store_settle(int folder) {
        /* Not every file system knows what this is for a folder. */
        return fsync(folder) < 0 && errno != EINVAL ? -errno : 0;
}

static int temporary_open(int folder, const char *name, char *ret_temporary, size_t size) {
        int n = snprintf(ret_temporary, size, ".%s.new", name), fd;

        if (n < 0 || (size_t)n >= size)
                return -ENAMETOOLONG;
        fd = openat(folder, ret_temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? -errno : fd;
}

/* `r` is how the writing went. */
static int temporary_end(int folder, const char *temporary, const char *name, int fd, int r) {
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r >= 0 && renameat(folder, temporary, folder, name) < 0)
                r = -errno;
        if (r < 0) {
                unlinkat(folder, temporary, 0);
                return r;
        }
        return store_settle(folder);
}

int store_write(int folder, const char *name, const char *text, size_t size) {
        char temporary[NAME_MAX + 1];
        _cleanup_close_ int fd = temporary_open(folder, name, temporary, sizeof(temporary));

        return fd < 0 ? fd : temporary_end(folder, temporary, name, fd, fd_write_all(fd, text, size));
}

static int copy_all(int to, int from) {
        struct stat st;
        off_t at = 0;

        if (fstat(from, &st) < 0)
                return -errno;
        while (at < st.st_size) {
                ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
        }
        return 0;
}

int store_copy(int folder, const char *name, int from) {
        char temporary[NAME_MAX + 1];
        _cleanup_close_ int fd = temporary_open(folder, name, temporary, sizeof(temporary));

        return fd < 0 ? fd : temporary_end(folder, temporary, name, fd, copy_all(fd, from));
}

int store_read(int folder, const char *name, char **ret_text, size_t *ret_size) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0)
                return -errno;
        return file_read(fd, STORE_SIZE_MAX, ret_text, ret_size);
}

static int write_out(int fd, struct evbuffer *content) {
        while (evbuffer_get_length(content))
                if (evbuffer_write(content, fd) < 0 && errno != EINTR)
                        return -errno;
        return 0;
}

int store_fill(int fd, struct evbuffer *content) {
        int r = write_out(fd, content);

        return r >= 0 && fsync(fd) < 0 ? -errno : r;
}

int store_append(int folder, const char *name, struct evbuffer *content, bool settle) {
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        int r = fd < 0 ? -errno : write_out(fd, content);

        return r >= 0 && settle && fsync(fd) < 0 ? -errno : r;
}

int store_fill_from(int fd, int from) {
        int r = copy_all(fd, from);

        return r >= 0 && fsync(fd) < 0 ? -errno : r;
}

int store_folder(int parent, const char *name) {
        int r;

        if (mkdirat(parent, name, 0700) == 0) {
                r = store_settle(parent);
                if (r < 0)
                        return r;
        } else if (errno != EEXIST) {
                return -errno;
        }
        return folder_at(parent, name);
}

int store_remove(int folder, const char *name) {
        return unlinkat(folder, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static bool is_temporary(const char *name) {
        size_t n = strlen(name);

        return name[0] == '.' && n > 5 && !strcmp(name + n - 4, ".new");
}

void store_sweep(int folder) {
        _cleanup_closedir_ DIR *dir = folder_entries(folder);
        struct dirent *d;

        while (dir && (d = readdir(dir)))
                if (is_temporary(d->d_name))
                        unlinkat(folder, d->d_name, 0);
}
