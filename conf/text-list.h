/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of strings that owns its strings.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct text_list {
        char **items;
        size_t n;
};

void text_list_deinit(struct text_list *list);
int text_list_add(struct text_list *list, const char *text, size_t size); /* a copy; 0 or -ENOMEM */
bool text_list_has(const struct text_list *list, const char *text);
