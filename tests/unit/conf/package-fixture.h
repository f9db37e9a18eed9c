/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes packages by hand, good ones and evil ones.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bytes {
        uint8_t *data;
        size_t size;
};
void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_free(struct bytes *bytes);

/* One entry of a tar. type: 'f' file, 'd' folder, 's' symbolic link, 'h' hard link, 'p' pipe, 'c' character device, 'b' block
 * device, 'S' sparse file. */
struct item {
        char type;
        const char *path;
        const char *text; /* content, or target */
        mode_t mode;      /* 0: 0644 */
};
#define MANIFEST_TEXT "[module]\nname = x\nversion = 1.0.0\nentry = x.so\n"
#define MANIFEST_ITEM                                                                                                                      \
        { 'f', "module.ini", MANIFEST_TEXT }

/* A pax archive as libarchive writes it, with its end-of-archive mark of two blocks. */
struct bytes tar_of(const struct item *items, size_t n);
/* One ustar header block, checksummed; for what libarchive would not write. */
void tar_header(struct bytes *tar, char type, const char *path, uint64_t size);
/* One zstd frame. */
struct bytes zstd_of(const void *data, size_t size);
/* tar_of() and zstd_of() */
struct bytes package_of(const struct item *items, size_t n);
/* A memory file that holds the bytes. */
int file_of(const struct bytes *bytes);

/* An empty folder: its descriptor; its path in ret_path. */
int folder_make(char ret_path[64]);
void folder_remove(const char *path);
/* The whole text of a file: malloc'ed, terminated; NULL when it is not there. */
char *folder_text(int folder, const char *path);
