/* SPDX-License-Identifier: Apache-2.0
 *
 * A durable file of lines, each a JSON object, the first of which says what file
 * of which form it is. News is appended and now and then all is written anew, as
 * a whole (store.h). A torn or damaged line costs itself alone. Everything
 * is written on the writer's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

struct manager;
struct line_file;

/* format() writes all lines that count. NULL: out of memory. */
struct line_file *line_file_new(struct manager *manager, const char *name, void (*format)(FILE *f, void *userdata), void *userdata);
struct line_file *line_file_free(struct line_file *file);
/* At start: take() is called with each line; false: it makes no sense, which is told. A file that cannot be read is told and
 * begun anew. */
void line_file_load(struct line_file *file, bool (*take)(const json_t *line, void *userdata));
/* A line with its newline. settle: to the disk, not only to the kernel. `file` may be NULL. */
void line_file_append(struct line_file *file, const char *line, size_t size, bool settle);
/* Soon: all anew, and to the disk. `file` may be NULL. */
void line_file_rewrite(struct line_file *file);
/* What was given is given to the writer now. */
void line_file_flush(struct line_file *file);
void line_files_flush(void); /* of all of them */

/* Pure: the lines of a text. Returns how many made no sense; *ret_torn: also the last has no end. -EINVAL: the text is another
 * file, or of another form. */
int line_file_parse(const char *name, const char *text, size_t size, bool (*take)(const json_t *line, void *userdata), void *userdata,
                    bool *ret_torn);
