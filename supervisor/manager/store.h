/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager's durable state. All I/O that must survive a power loss goes
 * through here. Everything waits for the disk: it belongs on the writer's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

/* Replaces a file as a whole: temporary file, fsync, rename, fsync of the folder. 0 or -errno. */
int store_write(int folder, const char *name, const char *text, size_t size);
/* The same with the content of another file, from its begin. */
int store_copy(int folder, const char *name, int from);
/* Adds to the end of a file that is there. A power loss may cost it or tear it, unless it is to settle. 0, -ENOENT, -errno. */
int store_append(int folder, const char *name, struct evbuffer *content, bool settle);
/* Reads one: malloc'ed, NUL-terminated. 0, -ENOENT, -errno. */
int store_read(int folder, const char *name, char **ret_text, size_t *ret_size);
/* Writes all of it into an open file, and to the disk. 0 or -errno. */
int store_fill(int fd, struct evbuffer *content);
/* The same from the begin of another file. */
int store_fill_from(int fd, int from);
/* What was renamed or removed in the folder before has happened for good. 0 or -errno. */
int store_settle(int folder);
/* Opens parent/name, made when it is missing. The fd or -errno. */
int store_folder(int parent, const char *name);
int store_remove(int folder, const char *name);
/* Removes what store_copy() and store_write() left behind when they were killed. */
void store_sweep(int folder);
