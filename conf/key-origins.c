/* SPDX-License-Identifier: Apache-2.0
 *
 * Origins, each as "SECTION NAME\tFILE:LINE".
 */
#include "conf/key-origins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"

static void list_remove(struct text_list *list, size_t i) {
        free(list->items[i]);
        memmove(list->items + i, list->items + i + 1, (--list->n - i) * sizeof(*list->items));
}

/* The index of what begins so, or list->n. */
static size_t list_find(const struct text_list *list, const char *begin) {
        size_t i = 0;

        while (i < list->n && strncmp(list->items[i], begin, strlen(begin)) != 0)
                i++;
        return i;
}

int key_origin_note(struct text_list *origins, const char *section, const char *name, const char *file, unsigned line) {
        _cleanup_free_ char *begin = NULL, *text = NULL;
        size_t i;

        if (asprintf(&begin, "%s %s\t", section, name) < 0)
                return -ENOMEM;
        if (asprintf(&text, "%s%s:%u", begin, file, line) < 0)
                return -ENOMEM;
        i = list_find(origins, begin);
        if (i < origins->n)
                list_remove(origins, i);
        return text_list_add(origins, text, strlen(text));
}

const char *key_origin(const struct text_list *origins, const char *section, const char *name) {
        _cleanup_free_ char *begin = NULL;
        size_t i;

        if (asprintf(&begin, "%s %s\t", section, name) < 0)
                return NULL;
        i = list_find(origins, begin);
        return i < origins->n ? origins->items[i] + strlen(begin) : NULL;
}

int key_origins_rename(struct text_list *origins, const char *from, const char *to) {
        size_t n = strlen(from);

        for (size_t i = 0; i < origins->n; i++) {
                char *text;

                if (strncmp(origins->items[i], from, n) != 0 || origins->items[i][n] != ' ')
                        continue;
                if (asprintf(&text, "%s%s", to, origins->items[i] + n) < 0)
                        return -ENOMEM;
                free(origins->items[i]);
                origins->items[i] = text;
        }
        return 0;
}

int key_origin_move(struct text_list *to, struct text_list *from, const char *section, const char *name) {
        _cleanup_free_ char *begin = NULL;
        size_t i;
        int r = 0;

        if (asprintf(&begin, "%s %s\t", section, name) < 0)
                return -ENOMEM;
        i = list_find(to, begin);
        if (i < to->n)
                list_remove(to, i);
        i = list_find(from, begin);
        if (i < from->n) {
                r = text_list_add(to, from->items[i], strlen(from->items[i]));
                list_remove(from, i);
        }
        return r;
}
