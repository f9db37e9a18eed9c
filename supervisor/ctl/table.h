/* SPDX-License-Identifier: Apache-2.0
 *
 * A table for people: cells are cleaned, columns as wide as their widest cell.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct table {
        char **cells; /* row by row, the headings first */
        size_t n_cells, n_columns;
        unsigned long right; /* bit N: column N is aligned to the right */
        int error;           /* the first failure; table_print() returns it */
};

/* Headings with blanks between them: "NAME >PID" aligns PID to the right. At most 64. */
void table_init(struct table *table, const char *headings);
void table_deinit(struct table *table);

/* The next cell; NULL or "" is shown as "-". */
void table_add(struct table *table, const char *text);
size_t table_rows(const struct table *table); /* without the headings */

/* 0 or -ENOMEM: a cell was lost. */
int table_print(const struct table *table, FILE *out);
