/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a file that a module answers with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <socle/module.h>

#define FILE_TAG_SIZE 56 /* three numbers in hexadecimal, what is between them, quotes, NUL */

struct file_opened {
        int fd;
        uint64_t size, modified_s; /* modified: not later than now_s */
        bool weak;                 /* it has been changed just now, and may be again without a sign of it */
        char tag[FILE_TAG_SIZE];   /* an entity-tag's opaque part, with its quotes */
};

/* 0, -EISDIR, or SOCLE_E_NOT_FOUND: there is none, or it may not be read, or is not below the folder; -errno. */
int file_open(enum socle_folder folder, const char *path, uint64_t now_s, struct file_opened *ret_file);
/* Without openat2(): the fd or -errno. */
int file_open_steps(int folder, const char *path);
/* By the end of its name. */
const char *file_type(const char *path);
