/* SPDX-License-Identifier: Apache-2.0
 *
 * See key-cases.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/key-table.h"
#include "tests/unit/conf/key-cases.h"

static void check_shown(const struct key *key, const void *object, const char *expected) {
        char text[256];

        assert_int_equal(key_format(key, object, text, sizeof(text)), 0);
        if (strcmp(text, expected) != 0)
                fail_msg("[%s] %s is \"%s\", expected \"%s\"", key->section, key->name, text, expected);
}

static int set(const struct key *key, void *object, key_parser parse, const char *value, char *error, size_t error_size) {
        char text[1024];
        int n = snprintf(text, sizeof(text), "\n[%s]\n%s = %s\n", key->section, key->name, value);

        error[0] = '\0';
        return parse(object, text, (size_t)n, error, error_size);
}

static void check_case(const struct key *key, void *object, key_parser parse, const struct key_case *c) {
        const char *shown = c->shown ? c->shown : c->accepted;
        char error[512], message[512];
        int r;

        check_shown(key, object, c->fallback);
        r = set(key, object, parse, c->accepted, error, sizeof(error));
        if (r < 0)
                fail_msg("[%s] %s = %s: %s", key->section, key->name, c->accepted, error);
        assert_string_equal(error, "");
        check_shown(key, object, shown);

        r = set(key, object, parse, c->refused, error, sizeof(error));
        if (r != -EINVAL)
                fail_msg("[%s] %s = %s is accepted", key->section, key->name, c->refused);
        snprintf(message, sizeof(message), "file:3: [%s] %s = %s: expected %s", key->section, key->name,
                 c->refused_shown ? c->refused_shown : c->refused, c->expected);
        assert_string_equal(error, message);
        check_shown(key, object, shown);
}

void key_cases_check(const struct key_table *table, void *object, key_parser parse, const struct key_case *cases, size_t n_cases) {
        for (size_t i = 0; i < table->n_keys; i++) {
                const struct key *key = &table->keys[i];
                size_t found = 0;

                for (size_t j = 0; j < n_cases; j++) {
                        if (strcmp(cases[j].section, key->section) != 0 || strcmp(cases[j].name, key->name) != 0)
                                continue;
                        check_case(key, object, parse, &cases[j]);
                        found++;
                }
                if (found != 1)
                        fail_msg("[%s] %s has %zu cases", key->section, key->name, found);
        }
        assert_int_equal(table->n_keys, n_cases);
}
