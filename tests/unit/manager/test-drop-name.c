/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking NAME-VERSION.smod apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/manager/drop.h"

static void good(const char *file, const char *name, const char *version) {
        char n[CONTROL_NAME_SIZE], v[64];

        assert_true(drop_name_split(file, n, v));
        assert_string_equal(n, name);
        assert_string_equal(v, version);
}

static void bad(const char *file) {
        char n[CONTROL_NAME_SIZE], v[64];

        assert_false(drop_name_split(file, n, v));
}

static void test_good_names(void **state) {
        good("hello-1.0.0.smod", "hello", "1.0.0");
        good("my-app-2.10.3.smod", "my-app", "2.10.3");
        good("a-1-app-1.0.0.smod", "a-1-app", "1.0.0");
        good("x-1.0.0-rc.1.smod", "x", "1.0.0-rc.1");
        good("x-1.0.0-1.0.0.smod", "x", "1.0.0-1.0.0");
        good("x-1.0.0+build.5.smod", "x", "1.0.0+build.5");
}

static void test_bad_names(void **state) {
        char longest[300];

        bad("");
        bad(".smod");
        bad("hello.smod");
        bad("hello-1.0.smod");
        bad("hello-1.0.0");
        bad("hello-1.0.0.SMOD");
        bad("Hello-1.0.0.smod");
        bad("1hello-1.0.0.smod");
        bad("-1.0.0.smod");
        bad("hello-01.0.0.smod");
        memset(longest, 'a', sizeof(longest));
        strcpy(longest + 250, "-1.0.0.smod");
        bad(longest);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_good_names), cmocka_unit_test(test_bad_names) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
