/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of strings that owns its strings.
 */
#include "conf/text-list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void text_list_deinit(struct text_list *list) {
        for (size_t i = 0; i < list->n; i++)
                free(list->items[i]);
        free(list->items);
        *list = (struct text_list){ 0 };
}

/* Grown at powers of two, so that n alone tells how much room there is. */
static int text_list_grow(struct text_list *list) {
        char **grown;

        if (list->n & (list->n - 1))
                return 0;
        grown = reallocarray(list->items, list->n ? list->n * 2 : 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        list->items = grown;
        return 0;
}

int text_list_add(struct text_list *list, const char *text, size_t size) {
        char *copy;
        int r;

        r = text_list_grow(list);
        if (r < 0)
                return r;
        copy = malloc(size + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = '\0';
        list->items[list->n++] = copy;
        return 0;
}

bool text_list_has(const struct text_list *list, const char *text) {
        for (size_t i = 0; i < list->n; i++) {
                if (!strcmp(list->items[i], text))
                        return true;
        }
        return false;
}
