/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager's durable state: small text files in its own folder. All I/O that
 * must survive a power loss goes through here.
 */
#pragma once

#include <stddef.h>

/* Replaces a file as a whole: temporary file, fsync, rename, fsync of the folder. 0 or -errno. */
int store_write(int folder, const char *name, const char *text, size_t size);
/* Reads one: malloc'ed, NUL-terminated. 0, -ENOENT, -errno. */
int store_read(int folder, const char *name, char **ret_text, size_t *ret_size);
