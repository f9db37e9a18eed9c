/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions: semver's grammar and order, and ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/version.h"
#include "ipc/cleanup.h"

static void test_what_semver_allows_is_a_version(void **state) {
        static const char *const versions[] = {
                "0.0.0",
                "1.2.3",
                "10.20.30",
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-0.3.7",
                "1.0.0-x-y-z",
                "1.0.0--",
                "1.0.0+20130313",
                "1.0.0-beta+exp.sha.5",
                "1.0.0+21AF26D3---117B",
                "1.0.0+001",
                "1.0.0-0A",
                "1.0.0-a.b.c",
                "1.0.0-rc.1+b.01.2",
                "99999999999999999999999.999999999999999999.99999999999999999",
        };

        for (size_t i = 0; i < N_ELEMENTS(versions); i++)
                assert_true(version_ok(versions[i]));
}

static void test_nothing_else_is_a_version(void **state) {
        static const char *const versions[] = {
                "",       "1",        "1.2",      "1.2.3.4",  "01.2.3",     "1.02.3",   "1.2.03",      "v1.2.3",    "1.2.3-",
                "1.2.3+", "1.2.3-+a", "1.2.3-a.", "1.2.3-.a", "1.2.3-a..b", "1.2.3-01", "1.2.3-1.007", "1.2.3+a+b", "1.2.3-a_b",
                " 1.2.3", "1.2.3 ",   "1.2.x",    "-1.2.3",   "1..3",       ".1.2",     "1.2.",        "1.2.3-é",
        };

        for (size_t i = 0; i < N_ELEMENTS(versions); i++)
                assert_false(version_ok(versions[i]));
}

static void test_precedence(void **state) {
        /* Ascending; the first seven are semver's own example. */
        static const char *const versions[] = {
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "1.0.1-0",
                "1.0.1",
                "1.0.9",
                "1.0.10",
                "1.2.0",
                "1.10.0",
                "2.0.0-1",
                "2.0.0-a",
                "2.0.0-a-b",
                "2.0.0",
                "10.0.0",
                "18446744073709551615.0.0",
                "18446744073709551616.0.0",
        };

        for (size_t i = 0; i < N_ELEMENTS(versions); i++) {
                for (size_t j = 0; j < N_ELEMENTS(versions); j++) {
                        int r = version_compare(versions[i], versions[j]);

                        assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
                }
        }
}

static void test_build_does_not_count(void **state) {
        assert_int_equal(version_compare("1.0.0+a", "1.0.0+b"), 0);
        assert_int_equal(version_compare("1.0.0-rc+a.b", "1.0.0-rc"), 0);
        assert_true(version_compare("1.0.0-rc+a", "1.0.0+a") < 0);
}

static void test_ranges(void **state) {
        static const struct {
                const char *range, *version;
                bool inside;
        } cases[] = {
                { "any", "0.0.1", true },
                { ">= 0.1, < 2", "0.1.0", true },
                { ">= 0.1, < 2", "1.99.0", true },
                { ">= 0.1, < 2", "2.0.0", false },
                { ">= 0.1, < 2", "0.0.9", false },
                { ">=0.1.5,<=0.2", "0.2.0", true },
                { ">=0.1.5,<=0.2", "0.2.1", false },
                { "> 1", "1.0.0", false },
                { "> 1", "1.0.1", true },
                { "1.2", "1.2.0", true },
                { "= 1.2", "1.2.1", false },
                { ">= 1.0.0-rc.1", "1.0.0-alpha", false },
                { ">= 1.0.0-rc.1", "1.0.0", true },
                { "\t<\t3 ,\t> 1", "2.0.0", true },
                { "any", "1.0", false },
                { ">= x", "1.0.0", false },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(version_in_range(cases[i].version, cases[i].range), cases[i].inside);
}

static void test_what_is_no_range(void **state) {
        static const char *const ranges[] = { "",     " ",    ",",   "1,",  ",1",    "1,,2",    "1, ", ">",   ">> 1",   "=> 1",
                                              "=< 1", "!= 1", "~ 1", "1 2", "1 - 2", "1.2.3.4", "01",  "Any", "any, 1", "*" };

        for (size_t i = 0; i < N_ELEMENTS(ranges); i++)
                assert_false(version_range_ok(ranges[i]));
        assert_true(version_range_ok(">= 0.1, < 2"));
        assert_true(version_range_ok("any"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_semver_allows_is_a_version),
                cmocka_unit_test(test_nothing_else_is_a_version),
                cmocka_unit_test(test_precedence),
                cmocka_unit_test(test_build_does_not_count),
                cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_what_is_no_range),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
