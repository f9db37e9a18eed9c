/* SPDX-License-Identifier: Apache-2.0
 *
 * Emptying a folder that somebody hostile filled.
 *
 * The tree may be a million folders deep, may have links that point anywhere,
 * may have folders without any permission. So nothing is followed (unlinkat,
 * O_NOFOLLOW), and nothing recurses: a folder found inside a folder is first
 * moved up to the top, under a name of ours, and emptied when its turn comes.
 * There are never more than two folders open and no path is ever longer than
 * one name. All of it runs in a child (job.h) that sees files as the module's own
 * uid, with no capability over them, so the worst that a trick could reach is the
 * module's own files.
 */
#include "supervisor/base/workfolder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/clock.h"
#include "ipc/folder.h"
#include "supervisor/base/base.h"
#include "supervisor/base/job.h"
#include "supervisor/common/log.h"

#define PREPARED ".next" /* no instance has this name */

#define CLEAN_NS (30 * NS_PER_S)

void work_prepare(int work_fd) {
        mkdirat(work_fd, PREPARED, 0700);
}

void work_unprepare(int work_fd) {
        unlinkat(work_fd, PREPARED, AT_REMOVEDIR);
}

int work_new(int work_fd, const char *name, uid_t uid) {
        _cleanup_close_ int fd = -1;

        /* What a predecessor could not empty belongs to another module. */
        if (unlinkat(work_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return -errno;
        if (renameat2(work_fd, PREPARED, work_fd, name, RENAME_NOREPLACE) < 0 && mkdirat(work_fd, name, 0700) < 0)
                return -errno;
        fd = folder_at(work_fd, name);
        if (fd < 0)
                return fd;
        if (fchmod(fd, 0700) < 0 || (uid != geteuid() && fchown(fd, uid, uid) < 0))
                return -errno;
        return TAKE_FD(fd);
}

/* Its owner may have taken all bits away, and where we are no root they count for us as well. Not by its name, behind which
 * another thing may be by now. */
static int unlock_path(int parent, const char *name) {
        _cleanup_close_ int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        char path[32];

        if (fd < 0)
                return -errno;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return chmod(path, 0700) < 0 ? -errno : 0;
}

int work_open(int parent, const char *name) {
        int fd = folder_at(parent, name);

        return fd == -EACCES && !unlock_path(parent, name) ? folder_at(parent, name) : fd;
}

int work_remove(int work_fd, const char *name) {
        if (unlinkat(work_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        return errno == ENOTEMPTY || errno == EEXIST ? WORK_E_FULL : -errno;
}

/* Without these bits a folder could neither be listed nor be moved; what that fails for, fails below. */
static void unlock(int folder, const char *name) {
        int r _unused_ = unlock_path(folder, name);
}

/* Empties top/name except for folders, which move to the top. */
static int flatten(int top, const char *name, uint32_t *count, uint64_t *n_moved) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *d;
        int fd;

        unlock(top, name);
        dir = folder_list_fd(folder_at(top, name));
        if (!dir)
                return -errno;
        fd = dirfd(dir);
        while ((d = readdir(dir))) {
                char moved[32];

                if (folder_is_dots(d->d_name))
                        continue;
                if (unlinkat(fd, d->d_name, 0) == 0) {
                        ++*count;
                        continue;
                }
                if (errno != EISDIR && errno != EPERM)
                        return -errno;
                unlock(fd, d->d_name);
                do
                        snprintf(moved, sizeof(moved), ".%llu", (unsigned long long)++*n_moved);
                while (renameat2(fd, d->d_name, top, moved, RENAME_NOREPLACE) < 0 && errno == EEXIST);
                if (faccessat(top, moved, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        return -errno;
        }
        return 0;
}

/* One pass over the top; *ret_left tells whether another is needed. */
static int pass(int top, uint32_t *count, uint64_t *n_moved, bool *ret_left) {
        _cleanup_closedir_ DIR *dir = folder_entries(top);
        struct dirent *d;
        int r;

        if (!dir)
                return -errno;
        *ret_left = false;
        while ((d = readdir(dir))) {
                if (folder_is_dots(d->d_name))
                        continue;
                *ret_left = true;
                if (unlinkat(top, d->d_name, 0) == 0 || unlinkat(top, d->d_name, AT_REMOVEDIR) == 0) {
                        ++*count;
                        continue;
                }
                r = flatten(top, d->d_name, count, n_moved);
                if (r)
                        return r;
                if (unlinkat(top, d->d_name, AT_REMOVEDIR) == 0)
                        ++*count;
        }
        return 0;
}

int work_empty(int folder, uint32_t *count) {
        uint64_t n_moved = 0;
        bool left = true;

        fchmod(folder, 0700);
        while (left) {
                int r = pass(folder, count, &n_moved, &left);

                if (r)
                        return r;
        }
        return 0;
}

struct cleaning {
        int folder;
        uid_t uid;
};

static int clean(const void *order, pid_t base, struct job_report *report) {
        const struct cleaning *c = order;
        int r = job_narrow(c->uid, base);

        return r ? r : work_empty(c->folder, &report->n_removed);
}

int work_clean(struct base *base, struct job *job, int work_fd, const char *name, uid_t uid) {
        _cleanup_close_ int folder = work_open(work_fd, name);

        return folder < 0 ? folder : job_start(base, job, CLEAN_NS, clean, &(struct cleaning){ folder, uid });
}

static int remove_now(struct base *base, int work_fd, const char *name, uid_t uid) {
        struct job job = JOB_INIT;
        struct job_report unused;
        int r = work_remove(work_fd, name);

        if (r != WORK_E_FULL)
                return r;
        r = work_clean(base, &job, work_fd, name, uid);
        if (r)
                return r;
        job_wait(base, &job, &unused);
        r = work_remove(work_fd, name);
        return r > 0 ? -ENOTEMPTY : r;
}

void work_remove_all(struct base *base, int work_fd, const char *prefix) {
        _cleanup_closedir_ DIR *dir = folder_entries(work_fd);
        struct dirent *d;

        while (dir && (d = readdir(dir))) {
                struct stat st;
                int r;

                if (folder_is_dots(d->d_name) || strncmp(d->d_name, prefix, strlen(prefix)) != 0 ||
                    fstatat(work_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
                        continue;
                r = remove_now(base, work_fd, d->d_name, base->root ? st.st_uid : geteuid());
                if (r)
                        log_warning("folder %s of a predecessor stays: %s", d->d_name, strerrordesc_np(-r));
        }
}
