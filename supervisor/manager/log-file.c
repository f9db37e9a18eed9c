/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation renames, oldest first, and never copies: whoever reads a file goes on
 * reading it. When a file cannot be renamed it grows on: lines count for more
 * than its size.
 */
#include "supervisor/manager/log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"

typedef char rotated_name[CONTROL_NAME_SIZE + 24];

static void name_of(const char *module, char name[static CONTROL_NAME_SIZE + 8]) {
        snprintf(name, CONTROL_NAME_SIZE + 8, "%.*s.log", CONTROL_NAME_SIZE - 1, module);
}

void log_file_init(struct log_file *f, int folder, const char *module, uint64_t max, unsigned keep) {
        *f = (struct log_file){ .folder = folder, .fd = -1, .max = max, .keep = keep };
        name_of(module, f->name);
}

void log_file_close(struct log_file *f) {
        f->fd = fd_close(f->fd);
}

static int log_file_open(struct log_file *f) {
        struct stat st;

        if (f->fd >= 0)
                return 0;
        f->fd = openat(f->folder, f->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
        if (f->fd < 0)
                return -errno;
        if (fstat(f->fd, &st) < 0)
                return -errno;
        f->size = (uint64_t)st.st_size;
        return 0;
}

static void rotated(const struct log_file *f, unsigned n, rotated_name name) {
        if (n)
                snprintf(name, sizeof(rotated_name), "%s.%u", f->name, n);
        else
                snprintf(name, sizeof(rotated_name), "%s", f->name);
}

static void log_file_rotate(struct log_file *f) {
        rotated_name from, to;

        for (unsigned n = f->keep; n; n--) {
                rotated(f, n - 1, from);
                rotated(f, n, to);
                if (renameat(f->folder, from, f->folder, to) < 0 && errno != ENOENT) {
                        log_warning("log/%s: cannot be rotated: %s", from, strerror(errno));
                        f->size = 0; /* not again before it has grown as much */
                        return;
                }
        }
        if (!f->keep)
                unlinkat(f->folder, f->name, 0);
        log_file_close(f);
}

int log_file_write(struct log_file *f, const char *lines, size_t size) {
        struct stat st;
        int r;

        r = log_file_open(f);
        if (r >= 0 && f->size && f->size + size > f->max) {
                log_file_rotate(f);
                r = log_file_open(f);
        }
        if (r < 0)
                return r;
        /* Before the write: after one that failed, what was written of it goes. */
        if (fstat(f->fd, &st) < 0)
                return -errno;
        r = fd_write_all(f->fd, lines, size);
        if (r < 0) {
                if (ftruncate(f->fd, st.st_size) < 0)
                        log_file_close(f);
                return r;
        }
        f->size += size;
        return 0;
}

/* Reading back ------------------------------------------------------------------------------------------------------- */

/* Puts the file's last bytes before what is in the buffer, which is filled from its end. Returns how many. */
static size_t read_before(int folder, const char *name, char *end, size_t room) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        size_t n;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        n = (uint64_t)st.st_size < room ? (size_t)st.st_size : room;
        if (fd_pread_all(fd, end - n, n, (uint64_t)st.st_size - n) < 0)
                return 0;
        return n;
}

char *log_file_end(int folder, const char *module, size_t max) {
        _cleanup_free_ char *buffer = malloc(max + 1);
        char name[CONTROL_NAME_SIZE + 8];
        rotated_name before;
        size_t n;
        char *begin;

        if (!buffer)
                return NULL;
        name_of(module, name);
        snprintf(before, sizeof(before), "%s.1", name);
        n = read_before(folder, name, buffer + max, max);
        n += read_before(folder, before, buffer + max - n, max - n);
        begin = buffer + max - n;
        /* Only when there is no more room can it begin within a line. */
        if (n == max) {
                char *newline = memchr(begin, '\n', n);

                n = newline ? (size_t)(begin + n - newline - 1) : 0;
                begin = buffer + max - n;
        }
        if (!n)
                return NULL;
        memmove(buffer, begin, n);
        buffer[n] = '\0';
        return TAKE_PTR(buffer);
}
