/* SPDX-License-Identifier: Apache-2.0
 *
 * A file's keys as a table (manifest.def, base-config.def): where each value is
 * stored, how it is written, its default and range. The parser, the defaults
 * and the checked documentation come from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/text-list.h"

/* X(type, storage, check or parse function, what a person is told to write) */
#define KEY_TYPES                                                                                                                          \
        X(COUNT, NUMBER, count, "a whole number")                                                                                          \
        X(SIZE, NUMBER, size, "a size such as 64K, 16M or 1G")                                                                             \
        X(POWER, NUMBER, size, "a power of two such as 16K or 1M")                                                                         \
        X(TIME, NUMBER, time, "a time such as 250ms, 2s, 5m or 1h")                                                                        \
        X(PERCENT, NUMBER, percent, "a percentage such as 50%")                                                                            \
        X(BOOL, BOOL, NULL, "yes or no")                                                                                                   \
        X(SWITCH, BOOL, NULL, "")   /* words: the first is false */                                                                        \
        X(CHOICE, CHOICE, NULL, "") /* words, in the order of the enum */                                                                  \
        X(NAME, TEXT, module_name_ok, "a name of a-z, 0-9 and -, beginning with a letter, at most 63 characters")                          \
        X(VERSION, TEXT, module_version_ok, "a version such as 1.0.0 (semver), at most 63 characters")                                     \
        X(ENTRY, TEXT, key_entry_ok, "a path inside the package such as hello.so")                                                         \
        X(RANGE, TEXT, version_range_ok, "any, or a range such as >= 0.1, < 2")                                                            \
        X(TEXT, TEXT, key_text_ok, "text of at most 255 bytes")                                                                            \
        X(ACCESS_LOG, TEXT, key_access_log_ok, "off, journal, or a file of log/ such as access_log, which does not end in .log")           \
        X(PREFIX, TEXT, key_prefix_ok, "a path such as /app, without / at its end, at most 127 bytes")                                     \
        X(NAMES, LIST, module_name_ok, "names of a-z, 0-9 and -, separated by commas")                                                     \
        X(HOSTS, LIST, key_host_ok, "host names in lower case without port, separated by commas")                                          \
        X(CALLS, LIST, key_call_ok, "services or methods such as kv or kv.get, separated by commas")                                       \
        X(TOPICS, LIST, key_topic_ok, "topics such as orders.placed (a-z, 0-9, . and -), separated by commas")                             \
        X(BOARD, LIST, key_board_ok, "segments of the board, separated by commas")                                                         \
        X(PATHS, LIST, key_path_ok, "absolute paths without . and .., separated by commas")                                                \
        X(OBJECTS, LIST, key_object_ok, "shared objects such as libcmark.so.0 or /opt/lib/a.so, separated by commas")                      \
        X(LISTEN, LIST, key_listen_ok,                                                                                                     \
          "addresses such as 127.0.0.1:8080, [::1]:8080, *:8080, unix:/run/web.sock or fd:web, separated by commas")                       \
        X(NETWORKS, LIST, key_network_ok, "networks such as 10.0.0.0/8, 2001:db8::/32, ::1 or unix, separated by commas")

enum key_type {
#define X(type, storage, function, expected) KEY_##type,
        KEY_TYPES
#undef X
                KEY_N_TYPES
};

enum key_storage { KEY_STORAGE_CHOICE, KEY_STORAGE_NUMBER, KEY_STORAGE_BOOL, KEY_STORAGE_TEXT, KEY_STORAGE_LIST };

enum key_flags {
        KEY_REQUIRED = 1 << 0, /* there is no default: someone must say it */
        KEY_FIXED = 1 << 1,    /* may not be changed by an override */
        KEY_LATER = 1 << 2,    /* read and checked, but nothing acts on it yet */
        KEY_OPERATOR = 1 << 3, /* only an override may say it */
        KEY_RELOAD = 1 << 4,   /* counts when the files are read again, not from the next start on */
        KEY_OTHERS = 1 << 5,   /* of [gateway], and not the gateways' own: none is replaced for it */
};

struct key {
        const char *section, *name;
        enum key_type type;
        enum key_storage storage;
        size_t offset;
        const char *fallback; /* as it would be written; NULL: none, an empty list */
        const char *words;    /* CHOICE, SWITCH: "a|b|c"; numbers: a word that stands for 0, or NULL */
        uint64_t min, max;    /* numbers */
        unsigned flags;
        const char *text; /* what it is for */
};

/* A section whose keys are free. */
struct key_section {
        const char *name;
        /* 0, -ENOMEM, -EINVAL and what was expected. */
        int (*set)(void *object, const char *name, const char *value, char *expected, size_t expected_size);
};

/* A section of which there may be several, each with a name of its own: "[route /app/upload]". */
struct key_group {
        const char *name, *argument;   /* "route", "PATH" */
        const struct key_table *table; /* of what stands in it, in a section of the group's name */
        /* The object of the one of this name, made where there is none yet; it stays until the next is opened. 0, -ENOMEM,
         * -EINVAL and what was expected. */
        int (*open)(void *object, const char *name, void **ret_object, char *expected, size_t expected_size);
};

struct key_table {
        const struct key *keys;
        size_t n_keys;
        const struct key_section *sections;
        size_t n_sections;
        const struct key_group *group; /* NULL: none */
        /* A list in the object that is told where each value was read (key-origins.h); 0: there is none. */
        size_t origins;
        /* Takes every section and key, also those before the first section (then ""): the other fields count for nothing.
         * 0, -ENOMEM, -EINVAL and what was expected. */
        int (*any)(void *object, const char *section, const char *name, const char *value, char *expected, size_t expected_size);
};

/* A row: KEY(section, name, type, field, default, words, min, max, flags, what it is for), in a file that has defined
 * KEY_OBJECT as the struct. */
#define KEY_STORAGE_OF(field)                                                                                                              \
        _Generic((field),                                                                                                                  \
                uint64_t: KEY_STORAGE_NUMBER,                                                                                              \
                bool: KEY_STORAGE_BOOL,                                                                                                    \
                char *: KEY_STORAGE_TEXT,                                                                                                  \
                struct text_list: KEY_STORAGE_LIST,                                                                                        \
                default: KEY_STORAGE_CHOICE)
#define KEY_ROW(object, s, n, t, field, d, w, low, high, f, what)                                                                          \
        { .section = s,                                                                                                                    \
          .name = n,                                                                                                                       \
          .type = KEY_##t,                                                                                                                 \
          .storage = KEY_STORAGE_OF(((object *)0)->field),                                                                                 \
          .offset = offsetof(object, field),                                                                                               \
          .fallback = d,                                                                                                                   \
          .words = w,                                                                                                                      \
          .min = low,                                                                                                                      \
          .max = high,                                                                                                                     \
          .flags = f,                                                                                                                      \
          .text = what },

/* The defaults, into zeroed memory. Default texts and lists stay the table's, so that this cannot fail. */
void key_table_init(const struct key_table *table, void *object);
/* Releases texts and lists. The fields are zero afterwards. */
void key_table_deinit(const struct key_table *table, void *object);
/* NULL when there is none. */
const struct key *key_table_find(const struct key_table *table, const char *section, const char *name);

/* Sets the field. 0, -ENOMEM, -EINVAL and what was expected. The field is as before when this fails. */
int key_set(const struct key *key, void *object, const char *value, char *expected, size_t expected_size);
/* Have the two objects the same value? */
bool key_equal(const struct key *key, const void *a, const void *b);
/* Each gets the other's. */
void key_swap(const struct key *key, void *a, void *b);
/* The field's value as it would be written; "" for none. Cut when there is no room: then -ENOSPC. */
int key_format(const struct key *key, const void *object, char *text, size_t size);
/* The form of a key's values and their range, for people: "a time such as 250ms, 2s, 5m or 1h; 1ms to 1h". */
void key_describe(const struct key *key, char *text, size_t size);

/* Splits at commas and adds what lies between, trimmed. -EINVAL when an item is empty, twice, not `ok` or there are more than
 * KEY_ITEMS_MAX. An empty text adds nothing. */
#define KEY_ITEMS_MAX 256
int key_list_parse(struct text_list *list, const char *text, bool (*ok)(const char *));

/* Reads a file's text over the struct; `refused`: flags of keys that may not be given. 0, -ENOMEM, -EINVAL and one line for
 * people: "module.ini:7: [limits] memory = 12: expected a size such as 64K, 16M or 1G". Keys before the line in question
 * have been set by then. */
int key_file_parse(const struct key_table *table, void *object, const char *file, const char *text, size_t size, unsigned refused,
                   char *error, size_t error_size);
