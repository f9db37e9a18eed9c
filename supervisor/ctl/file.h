/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that a person names: small ones are read whole, new ones appear whole.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define FILE_SMALL_MAX (1u << 20)

/* A regular file of at most FILE_SMALL_MAX bytes: malloc'ed, terminated. 0 or -errno (-EINVAL: not regular, -EFBIG). */
int file_read(int folder_fd, const char *path, char **ret_text, size_t *ret_size);

/* Nobody ever sees a part of it: it is made under a hidden name, which neither the drop directory nor package_pack() looks
 * at, then renamed. Without file_finish() nothing of it stays. */
struct new_file {
        int fd;
        const char *path; /* the caller's */
        char *temporary;
};
#define NEW_FILE_NONE ((struct new_file){ .fd = -1 })
int file_begin(struct new_file *ret_file, const char *path);
int file_finish(struct new_file *file, mode_t mode); /* less the umask */
void file_deinit(struct new_file *file);
