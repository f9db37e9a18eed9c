/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths come from strangers. That none leads out of its folder is the kernel's
 * business: RESOLVE_BENEATH refuses ".." and links out of it, wherever in the path
 * and whatever is renamed meanwhile, so nothing is looked for in its text. Rootless
 * a worker has no openat2(), for no filter can see the mode of what it creates:
 * then the path is walked name by name, and no link is followed.
 */
#include "libmodule/file-open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "libmodule/worker-internal.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define WEAK_S 2 /* so old a file must be: times of files go in steps of some ms, clocks may differ by a second */
#define TRIES 8  /* of a path that others rename meanwhile */

int file_open_steps(int folder, const char *path) {
        _cleanup_close_ int at = fd_dup(folder);

        while (at >= 0) {
                size_t size = strcspn(path += strspn(path, "/"), "/");
                bool last = !path[size];
                char name[NAME_MAX + 1];
                int fd;

                if (size > NAME_MAX)
                        return -ENAMETOOLONG;
                snprintf(name, sizeof(name), "%.*s", size ? (int)size : 1, size ? path : ".");
                if (!strcmp(name, ".."))
                        return -EXDEV;
                fd = openat(at, name, (last ? OPEN_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC) | O_NOFOLLOW);
                if (fd < 0 || last)
                        return fd < 0 ? -errno : fd;
                fd_close(at);
                at = fd;
                path += size;
        }
        return at;
}

static int open_beneath(int folder, const char *path) {
        const struct open_how how = { .flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
        long fd = -1;

        for (int i = 0; i < TRIES && fd < 0 && (i == 0 || errno == EAGAIN); i++)
                fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));
        if (fd < 0 && errno == ENOSYS)
                return file_open_steps(folder, path);
        return fd < 0 ? -errno : (int)fd;
}

/* "." when nothing is left: the folder itself. */
static const char *below(const char *path) {
        path += strspn(path, "/");
        return *path ? path : ".";
}

/* How much of the path a granted one is; 0: it is not below it. */
static size_t granted_size(const char *granted, const char *path) {
        size_t size = strlen(granted);

        while (size && granted[size - 1] == '/')
                size--;
        if (strncmp(path, granted, size) != 0 || (path[size] && path[size] != '/'))
                return 0;
        return size;
}

static size_t granted_longest(const char *const *granted, uint32_t n, const char *path) {
        size_t longest = 0;

        for (uint32_t i = 0; i < n; i++)
                longest = MAX(longest, granted_size(granted[i], path));
        return longest;
}

/* The granted path is the operator's own, links and all; what is behind it is not. */
static int open_granted(const char *path) {
        const struct worker_settings *s = the_worker.start.settings;
        size_t size = MAX(granted_longest(s->read, s->n_read, path), granted_longest(s->write, s->n_write, path));
        _cleanup_free_ char *folder = size ? strndup(path, size) : NULL;
        _cleanup_close_ int fd = -1;

        if (!folder)
                return size ? -ENOMEM : -ENOENT;
        fd = open(folder, path[size] ? O_PATH | O_DIRECTORY | O_CLOEXEC : OPEN_FLAGS);
        if (fd < 0)
                return -errno;
        return path[size] ? open_beneath(fd, below(path + size)) : TAKE_FD(fd);
}

static int open_in(enum socle_folder folder, const char *path) {
        switch (folder) {
        case SOCLE_FOLDER_PACKAGE:
                return open_beneath(the_worker.start.package, below(path));
        case SOCLE_FOLDER_WORK:
                return open_beneath(the_worker.start.work, below(path));
        case SOCLE_FOLDER_DATA:
                return the_worker.start.data < 0 ? -ENOENT : open_beneath(the_worker.start.data, below(path));
        case SOCLE_FOLDER_GRANTED:
                return open_granted(path);
        }
        return -EINVAL;
}

/* What a stranger has asked for and cannot have is not there. */
static int refusal(int r) {
        switch (-r) {
        case ENOENT:
        case ENOTDIR:
        case EACCES:
        case EPERM:
        case ELOOP:
        case EXDEV:
        case EAGAIN:
        case ENXIO:
        case ENAMETOOLONG:
                return SOCLE_E_NOT_FOUND;
        default:
                return r;
        }
}

static void describe(const struct stat *st, uint64_t now_s, struct file_opened *file) {
        file->size = (uint64_t)st->st_size;
        file->modified_s = MIN((uint64_t)MAX(st->st_mtim.tv_sec, 0), now_s);
        file->weak = (uint64_t)MAX(st->st_mtim.tv_sec, 0) + WEAK_S > now_s;
        snprintf(file->tag, sizeof(file->tag), "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
                 (unsigned long long)st->st_mtim.tv_sec * NS_PER_S + (unsigned long long)st->st_mtim.tv_nsec);
}

int file_open(enum socle_folder folder, const char *path, uint64_t now_s, struct file_opened *ret) {
        _cleanup_close_ int fd = open_in(folder, path);
        struct stat st;

        if (fd < 0)
                return refusal(fd);
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return SOCLE_E_NOT_FOUND;
        describe(&st, now_s, ret);
        ret->fd = TAKE_FD(fd);
        return 0;
}

const char *file_type(const char *path) {
        static const struct {
                const char *extension, *type;
        } types[] = {
#define X(extension, type) { extension, type },
#include "libmodule/content-types.def"
#undef X
        };
        const char *name = strrchr(path, '/'), *dot = strrchr(name ? name + 1 : path, '.');

        for (size_t i = 0; dot && i < N_ELEMENTS(types); i++) {
                if (!strcasecmp(dot + 1, types[i].extension))
                        return types[i].type;
        }
        return "application/octet-stream";
}
