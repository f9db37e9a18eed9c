/* SPDX-License-Identifier: Apache-2.0
 *
 * How far the log ring of each instance has been read, kept where a manager that
 * is killed leaves it to the next one: in a mapped file. So no line is told twice,
 * and what was overwritten while there was no manager is counted.
 */
#pragma once

#include <stdint.h>

struct log_cursors;

struct log_cursor {
        uint64_t instance;    /* 0: free */
        uint64_t sequence;    /* of the next line */
        uint64_t output_lost; /* the page's count, as far as it was told */
};

/* The file `name` of the folder; what another life of the base (`born_ns`) left in it is cleared. 0 or -errno. */
int log_cursors_open(struct log_cursors **ret_cursors, int folder, const char *name, uint64_t born_ns);
struct log_cursors *log_cursors_close(struct log_cursors *cursors);

/* The instance's cursor, to be changed in place; a new one is zero. NULL: the table is full, or cursors is NULL. */
struct log_cursor *log_cursor_get(struct log_cursors *cursors, uint64_t instance);
void log_cursor_free(struct log_cursors *cursors, uint64_t instance);
