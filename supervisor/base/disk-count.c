/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting a tree that somebody hostile fills meanwhile.
 *
 * An entry counts DISK_ENTRY_SIZE at least, so that counting ends after
 * limit / DISK_ENTRY_SIZE entries however many there are. Nothing is followed
 * (openat, O_NOFOLLOW), a descriptor is kept of each folder on the way down, so
 * a folder that is moved away leads nowhere else, and a tree that is deeper than
 * there are descriptors for is an error of its owner. A folder whose owner may
 * not look into it is given the bits for that: else it would be a place to hide.
 *
 * Whoever moves his files about while they are counted can be counted for less.
 */
#include "supervisor/base/disk-count.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ipc/folder.h"
#include "supervisor/base/workfolder.h"

static bool is_full(const struct disk_count *count) {
        return count->size > count->limit;
}

/* A file of several names is found under each of them. */
static void add(struct disk_count *count, const struct statx *st) {
        uint64_t size = st->stx_blocks * 512;

        if (st->stx_nlink > 1 && !S_ISDIR(st->stx_mode))
                size /= st->stx_nlink;
        count->size += MAX(size, (uint64_t)DISK_ENTRY_SIZE);
        count->n_entries++;
}

/* What is gone before it is looked at takes nothing. */
static int count_folder(int parent, const char *name, unsigned depth, struct disk_count *count) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *d;
        int r = 0;

        if (depth > DISK_DEPTH_MAX)
                return -ENAMETOOLONG;
        dir = folder_list_fd(work_open(parent, name));
        if (!dir)
                return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
        while (!r && !is_full(count) && (d = readdir(dir))) {
                struct statx st;

                if (folder_is_dots(d->d_name) || statx(dirfd(dir), d->d_name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                                                       STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_BLOCKS, &st) < 0)
                        continue;
                add(count, &st);
                if (S_ISDIR(st.stx_mode))
                        r = count_folder(dirfd(dir), d->d_name, depth + 1, count);
        }
        return r;
}

int disk_count_folder(int folder, struct disk_count *count) {
        if (faccessat(folder, ".", R_OK | X_OK, AT_EACCESS) < 0)
                fchmod(folder, 0700);
        return count_folder(folder, ".", 0, count);
}

int disk_count_deleted(pid_t pid, dev_t device, struct disk_count *count) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *d;
        char path[48];

        snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        dir = opendir(path);
        if (!dir)
                return -errno;
        while (!is_full(count) && (d = readdir(dir))) {
                struct statx st;

                if (folder_is_dots(d->d_name) ||
                    statx(dirfd(dir), d->d_name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_BLOCKS, &st) < 0)
                        continue;
                if (S_ISREG(st.stx_mode) && !st.stx_nlink && makedev(st.stx_dev_major, st.stx_dev_minor) == device)
                        add(count, &st);
        }
        return 0;
}
