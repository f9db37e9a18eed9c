/* SPDX-License-Identifier: Apache-2.0
 *
 * Each key of [limits] and [sandbox] has a test of its name: who adds a limit
 * shows that it limits. argv: tests/integration/test_limits.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "ipc/cleanup.h"

static char text[1 << 18];

static bool is_tried(const struct key *key) {
        return !strcmp(key->section, "limits") || !strcmp(key->section, "sandbox");
}

/* "\ndef test_limits_in_flight(" */
static void begin_of_test(const struct key *key, char *ret_line, size_t size) {
        snprintf(ret_line, size, "\ndef test_%s_%s(", key->section, key->name);
        for (char *c = ret_line; *c; c++)
                if (*c == '-')
                        *c = '_';
}

static void test_each_key_has_a_test(void **state) {
        size_t n = 0;

        for (size_t i = 0; i < manifest_table.n_keys; i++) {
                const struct key *key = &manifest_table.keys[i];
                char line[128];

                if (!is_tried(key) || key->flags & KEY_LATER)
                        continue;
                begin_of_test(key, line, sizeof(line));
                if (!strstr(text, line))
                        fail_msg("[%s] %s is tried by no test:%s", key->section, key->name, line);
                n++;
        }
        assert_true(n > 15);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_key_has_a_test),
        };
        FILE *f = argc == 2 ? fopen(argv[1], "re") : NULL;

        if (!f || !fread(text, 1, sizeof(text) - 1, f)) {
                fprintf(stderr, "usage: test-key-tests test_limits.py\n");
                return 2;
        }
        fclose(f);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
