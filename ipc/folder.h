/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers around folders: opened by the descriptor of the one above, never
 * through a link, and listed.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "ipc/cleanup.h"

static inline void cleanup_closedirp(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

#define _cleanup_closedir_ _cleanup_(cleanup_closedirp)

/* Its descriptor or -errno. */
static inline int folder_at(int parent, const char *name) {
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* Takes the descriptor, or the error of having none. NULL and errno. */
static inline DIR *folder_list_fd(int fd) {
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (fd < 0)
                errno = -fd;
        else if (!dir)
                fd_close(fd);
        return dir;
}

/* From its beginning, whoever else reads it. NULL and errno. */
static inline DIR *folder_entries(int folder) {
        return folder_list_fd(folder_at(folder, "."));
}

static inline bool folder_is_dots(const char *name) {
        return !strcmp(name, ".") || !strcmp(name, "..");
}
