/* SPDX-License-Identifier: Apache-2.0
 *
 * A file's keys as a table: defaults, storing a value, what is expected.
 *
 * A default text or list is borrowed from the table (a list of one points at
 * the row itself), so that a struct can be given its defaults where nothing may
 * fail; release() knows it by its address. Copying the struct keeps this right.
 */
#include "conf/key-table.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key.h"
#include "conf/listen.h"
#include "conf/manifest.h"
#include "conf/version.h"
#include "ipc/cleanup.h"

#define BLANKS " \t"

struct type {
        enum key_storage storage;
        int (*parse)(const char *text, uint64_t *ret_number);
        void (*format)(uint64_t number, char ret_text[KEY_NUMBER_SIZE]);
        bool (*ok)(const char *text);
        const char *expected;
};

static bool key_listen_ok(const char *text) {
        struct listen listen;
        char why[256];

        return listen_parse(text, &listen, why, sizeof(why)) >= 0;
}

#define TYPE_NUMBER(function) .parse = key_parse_##function, .format = key_format_##function
#define TYPE_BOOL(function) .ok = function
#define TYPE_CHOICE(function) .ok = function
#define TYPE_TEXT(function) .ok = function
#define TYPE_LIST(function) .ok = function

static const struct type types[KEY_N_TYPES] = {
#define X(type, store, function, form) [KEY_##type] = { KEY_STORAGE_##store, TYPE_##store(function), .expected = form },
        KEY_TYPES
#undef X
};

static void *key_field(const struct key *key, void *object) {
        return (char *)object + key->offset;
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static void text_release(const struct key *key, char **field) {
        if (*field != key->fallback)
                free(*field);
        *field = NULL;
}

static void list_release(const struct key *key, struct text_list *field) {
        if (field->items == (char **)&key->fallback)
                *field = (struct text_list){ 0 };
        else
                text_list_deinit(field);
}

static void key_init(const struct key *key, void *object) {
        char expected[256];
        int r;

        assert(key->storage == types[key->type].storage);
        if (!key->fallback)
                return;
        switch (key->storage) {
        case KEY_STORAGE_TEXT:
                *(char **)key_field(key, object) = (char *)key->fallback;
                break;
        case KEY_STORAGE_LIST:
                *(struct text_list *)key_field(key, object) = (struct text_list){ (char **)&key->fallback, 1 };
                break;
        default:
                r = key_set(key, object, key->fallback, expected, sizeof(expected));
                assert(r == 0);
        }
}

void key_table_init(const struct key_table *table, void *object) {
        for (size_t i = 0; i < table->n_keys; i++)
                key_init(&table->keys[i], object);
}

void key_table_deinit(const struct key_table *table, void *object) {
        for (size_t i = 0; i < table->n_keys; i++) {
                const struct key *key = &table->keys[i];

                if (key->storage == KEY_STORAGE_TEXT)
                        text_release(key, key_field(key, object));
                else if (key->storage == KEY_STORAGE_LIST)
                        list_release(key, key_field(key, object));
        }
}

const struct key *key_table_find(const struct key_table *table, const char *section, const char *name) {
        for (size_t i = 0; i < table->n_keys; i++) {
                if (!strcmp(table->keys[i].section, section) && !strcmp(table->keys[i].name, name))
                        return &table->keys[i];
        }
        return NULL;
}

/* Two of them -------------------------------------------------------------------------------------------------------- */

static bool lists_equal(const struct text_list *a, const struct text_list *b) {
        size_t i = 0;

        while (a->n == b->n && i < a->n && !strcmp(a->items[i], b->items[i]))
                i++;
        return a->n == b->n && i == a->n;
}

static bool texts_equal(const char *a, const char *b) {
        return a && b ? !strcmp(a, b) : a == b;
}

bool key_equal(const struct key *key, const void *a, const void *b) {
        const void *x = (const char *)a + key->offset, *y = (const char *)b + key->offset;

        switch (key->storage) {
        case KEY_STORAGE_NUMBER:
                return *(const uint64_t *)x == *(const uint64_t *)y;
        case KEY_STORAGE_BOOL:
                return *(const bool *)x == *(const bool *)y;
        case KEY_STORAGE_CHOICE:
                return *(const unsigned *)x == *(const unsigned *)y;
        case KEY_STORAGE_TEXT:
                return texts_equal(*(char *const *)x, *(char *const *)y);
        case KEY_STORAGE_LIST:
                return lists_equal(x, y);
        }
        return false;
}

static size_t storage_size(enum key_storage storage) {
        switch (storage) {
        case KEY_STORAGE_NUMBER:
                return sizeof(uint64_t);
        case KEY_STORAGE_BOOL:
                return sizeof(bool);
        case KEY_STORAGE_CHOICE:
                return sizeof(unsigned);
        case KEY_STORAGE_TEXT:
                return sizeof(char *);
        case KEY_STORAGE_LIST:
                return sizeof(struct text_list);
        }
        return 0;
}

void key_swap(const struct key *key, void *a, void *b) {
        size_t size = storage_size(key->storage);
        char kept[sizeof(struct text_list)];

        memcpy(kept, key_field(key, a), size);
        memcpy(key_field(key, a), key_field(key, b), size);
        memcpy(key_field(key, b), kept, size);
}

/* What is expected --------------------------------------------------------------------------------------------------- */

static void words_describe(const char *words, char *text, size_t size) {
        size_t used = 0;

        while (used < size) {
                size_t n = strcspn(words, "|");
                const char *rest = words + n + (words[n] == '|');
                const char *glue = !*rest ? "" : strchr(rest, '|') ? ", " : " or ";

                used += (size_t)snprintf(text + used, size - used, "%.*s%s", (int)n, words, glue);
                if (!*rest)
                        return;
                words = rest;
        }
}

static void form_describe(const struct key *key, char *text, size_t size) {
        const struct type *type = &types[key->type];

        if (type->expected[0])
                snprintf(text, size, "%s%s%s", type->parse && key->words ? key->words : "", type->parse && key->words ? ", or " : "",
                         type->expected);
        else
                words_describe(key->words, text, size);
}

static void range_describe(const struct key *key, char *text, size_t size) {
        char min[KEY_NUMBER_SIZE], max[KEY_NUMBER_SIZE];

        types[key->type].format(key->min, min);
        types[key->type].format(key->max, max);
        snprintf(text, size, "%s to %s", min, max);
}

void key_describe(const struct key *key, char *text, size_t size) {
        size_t used;

        form_describe(key, text, size);
        used = strlen(text);
        if (key->storage != KEY_STORAGE_NUMBER || used + 3 > size)
                return;
        used += (size_t)snprintf(text + used, size - used, "; ");
        range_describe(key, text + used, size - used);
}

/* Showing ------------------------------------------------------------------------------------------------------------ */

static int list_format(const struct text_list *list, char *text, size_t size) {
        size_t used = 0;

        for (size_t i = 0; i < list->n && used < size; i++)
                used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", list->items[i]);
        return used < size ? 0 : -ENOSPC;
}

static int word_format(const char *words, unsigned index, char *text, size_t size) {
        size_t n;

        while (index--)
                words += strcspn(words, "|") + 1;
        n = strcspn(words, "|");
        return snprintf(text, size, "%.*s", (int)n, words) < (int)size ? 0 : -ENOSPC;
}

static int number_format(const struct key *key, uint64_t number, char *text, size_t size) {
        char digits[KEY_NUMBER_SIZE];

        if (!number && key->words)
                return word_format(key->words, 0, text, size);
        types[key->type].format(number, digits);
        return word_format(digits, 0, text, size);
}

int key_format(const struct key *key, const void *object, char *text, size_t size) {
        const void *field = (const char *)object + key->offset;
        const char *value;

        text[0] = '\0';
        switch (key->storage) {
        case KEY_STORAGE_NUMBER:
                return number_format(key, *(const uint64_t *)field, text, size);
        case KEY_STORAGE_BOOL:
                return word_format(key->words ? key->words : "no|yes", *(const bool *)field, text, size);
        case KEY_STORAGE_CHOICE:
                return word_format(key->words, *(const unsigned *)field, text, size);
        case KEY_STORAGE_TEXT:
                value = *(char *const *)field;
                return snprintf(text, size, "%s", value ? value : "") < (int)size ? 0 : -ENOSPC;
        default:
                return list_format(field, text, size);
        }
}

/* Storing ------------------------------------------------------------------------------------------------------------ */

static int number_set(const struct key *key, uint64_t *field, const char *value, char *expected, size_t expected_size) {
        uint64_t number = 0;
        int r;

        if (key->words && !strcmp(value, key->words)) {
                *field = 0;
                return 0;
        }
        r = types[key->type].parse(value, &number);
        if (r == 0 && key->type == KEY_POWER && number & (number - 1))
                r = -EINVAL;
        if (r == -ERANGE || (r == 0 && (number < key->min || number > key->max))) {
                range_describe(key, expected, expected_size);
                return -EINVAL;
        }
        if (r < 0) {
                form_describe(key, expected, expected_size);
                return -EINVAL;
        }
        *field = number;
        return 0;
}

static int bool_set(const struct key *key, bool *field, const char *value, char *expected, size_t expected_size) {
        int r = key->type == KEY_BOOL ? key_parse_bool(value, field) : key_parse_choice(value, key->words);

        if (r < 0)
                form_describe(key, expected, expected_size);
        else if (key->type == KEY_SWITCH)
                *field = r > 0;
        return r < 0 ? r : 0;
}

static int choice_set(const struct key *key, void *field, const char *value, char *expected, size_t expected_size) {
        int r = key_parse_choice(value, key->words);

        if (r < 0) {
                form_describe(key, expected, expected_size);
                return r;
        }
        /* An enum whose type the table does not know; all of ours are as large as an int. */
        memcpy(field, &r, sizeof(r));
        return 0;
}

/* An empty text, where it is of the right form, is none at all. */
static int text_set(const struct key *key, char **field, const char *value, char *expected, size_t expected_size) {
        char *copy = NULL;

        if (!types[key->type].ok(value)) {
                form_describe(key, expected, expected_size);
                return -EINVAL;
        }
        if (*value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        text_release(key, field);
        *field = copy;
        return 0;
}

/* Adds one item, unless it is there already or is not of the right form. */
static int list_add(struct text_list *list, const char *text, size_t size, bool (*ok)(const char *)) {
        _cleanup_free_ char *item = strndup(text, size);

        if (!item)
                return -ENOMEM;
        if (!size || list->n >= KEY_ITEMS_MAX || !ok(item) || text_list_has(list, item))
                return -EINVAL;
        return text_list_add(list, item, size);
}

int key_list_parse(struct text_list *list, const char *text, bool (*ok)(const char *)) {
        text += strspn(text, BLANKS);
        if (!*text)
                return 0;
        for (;;) {
                size_t n = strcspn(text, ","), size = n;
                int r;

                while (size && strchr(BLANKS, text[size - 1]))
                        size--;
                r = list_add(list, text, size, ok);
                if (r < 0 || !text[n])
                        return r;
                text += n + 1;
                text += strspn(text, BLANKS);
        }
}

/* Of several items, which one it is that could not be added to those before it. */
static void item_describe(const struct text_list *list, const char *value, char *text, size_t size) {
        size_t used = strlen(text), n;
        char item[128];

        if (!strchr(value, ',') || used >= size)
                return;
        for (size_t i = 0; i < list->n; i++)
                value += strcspn(value, ",") + 1;
        value += strspn(value, BLANKS);
        n = strcspn(value, ",");
        while (n && strchr(BLANKS, value[n - 1]))
                n--;
        snprintf(item, sizeof(item), "%.*s", (int)n, value);
        if (list->n >= KEY_ITEMS_MAX)
                snprintf(text + used, size - used, "; at most %d", KEY_ITEMS_MAX);
        else if (!n)
                snprintf(text + used, size - used, "; item %zu is empty", list->n + 1);
        else
                snprintf(text + used, size - used, "; %.60s is %s", item, text_list_has(list, item) ? "there twice" : "none");
}

static int list_set(const struct key *key, struct text_list *field, const char *value, char *expected, size_t expected_size) {
        _cleanup_(text_list_deinit) struct text_list list = { 0 };
        int r;

        r = key_list_parse(&list, value, types[key->type].ok);
        if (r == -EINVAL) {
                form_describe(key, expected, expected_size);
                item_describe(&list, value, expected, expected_size);
        }
        if (r < 0)
                return r;
        list_release(key, field);
        *field = list;
        list = (struct text_list){ 0 };
        return 0;
}

int key_set(const struct key *key, void *object, const char *value, char *expected, size_t expected_size) {
        void *field = key_field(key, object);

        switch (key->storage) {
        case KEY_STORAGE_NUMBER:
                return number_set(key, field, value, expected, expected_size);
        case KEY_STORAGE_BOOL:
                return bool_set(key, field, value, expected, expected_size);
        case KEY_STORAGE_CHOICE:
                return choice_set(key, field, value, expected, expected_size);
        case KEY_STORAGE_TEXT:
                return text_set(key, field, value, expected, expected_size);
        default:
                return list_set(key, field, value, expected, expected_size);
        }
}
