/* SPDX-License-Identifier: Apache-2.0
 *
 * One case for each key of a table: its default, a value that is accepted, one
 * that is refused and with which words. A key without a case fails the test.
 */
#pragma once

#include <stddef.h>

struct key_table;

/* Long texts. */
#define C60 "012345678901234567890123456789012345678901234567890123456789"
#define C64 C60 "abcd"

struct key_case {
        const char *section, *name;
        const char *fallback;         /* as key_format() shows it */
        const char *accepted, *shown; /* shown: when it differs */
        const char *refused, *expected;
        const char *refused_shown; /* when the message cuts it */
};

/* A parser over an object, as manifest_parse() with its other arguments given. */
typedef int (*key_parser)(void *object, const char *text, size_t size, char *error, size_t error_size);

/* `object` holds the defaults. The parser names the file "file". */
void key_cases_check(const struct key_table *table, void *object, key_parser parse, const struct key_case *cases, size_t n_cases);
