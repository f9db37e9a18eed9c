/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables. Failures are kept until the table is printed, so that filling it
 * reads as a list of cells.
 */
#include "supervisor/ctl/table.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/text.h"

#define COLUMNS_MAX 64
#define GAP 2

void table_init(struct table *table, const char *headings) {
        _cleanup_free_ char *copy = strdup(headings);
        char *rest = copy, *word;

        *table = (struct table){ .error = copy ? 0 : -ENOMEM };
        while ((word = strsep(&rest, " "))) {
                assert(table->n_columns < COLUMNS_MAX);
                if (*word == '>')
                        table->right |= 1ul << table->n_columns;
                table->n_columns++;
                table_add(table, *word == '>' ? word + 1 : word);
        }
}

void table_deinit(struct table *table) {
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i]);
        free(table->cells);
        *table = (struct table){ 0 };
}

void table_add(struct table *table, const char *text) {
        char **cells = reallocarray(table->cells, table->n_cells + 1, sizeof(*cells));

        if (cells) {
                table->cells = cells;
                cells[table->n_cells] = text_clean(text && *text ? text : "-");
        }
        if (!cells || !cells[table->n_cells])
                table->error = -ENOMEM;
        else
                table->n_cells++;
}

size_t table_rows(const struct table *table) {
        return table->n_columns ? table->n_cells / table->n_columns - 1 : 0;
}

static void pad(FILE *out, size_t n) {
        fprintf(out, "%*s", (int)n, "");
}

static void print_cell(const struct table *table, size_t cell, size_t width, FILE *out) {
        size_t column = cell % table->n_columns, room = width - text_width(table->cells[cell]);
        bool right = table->right & 1ul << column, last = column + 1 == table->n_columns;

        if (right)
                pad(out, room);
        fputs(table->cells[cell], out);
        if (!last)
                pad(out, GAP + (right ? 0 : room));
        else
                fputc('\n', out);
}

int table_print(const struct table *table, FILE *out) {
        size_t widths[COLUMNS_MAX] = { 0 };

        if (table->error < 0)
                return table->error;
        assert(table->n_cells % table->n_columns == 0);
        for (size_t i = 0; i < table->n_cells; i++)
                widths[i % table->n_columns] = MAX(widths[i % table->n_columns], text_width(table->cells[i]));
        for (size_t i = 0; i < table->n_cells; i++)
                print_cell(table, i, widths[i % table->n_columns], out);
        return 0;
}
