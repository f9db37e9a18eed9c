/* SPDX-License-Identifier: Apache-2.0
 *
 * What /proc says of a process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "supervisor/manager/inspect-process.h"

static json_int_t number(const json_t *j, const char *key) {
        return json_integer_value(json_object_get(j, key));
}

static void test_status(void **state) {
        char text[] = "Name:\tworker\nUid:\t1900001001\t1900001001\t1900001001\t1900001001\nGid:\t7\t7\t7\t7\nGroups:\t4 24 \nVmRSS:\t    "
                      "1234 kB\n"
                      "Threads:\t2\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        char empty[] = "Name:\tworker\n";
        json_t *j = json_object();

        assert_int_equal(inspect_parse_status(text, j), 0);
        assert_int_equal(number(j, "uid"), 1900001001);
        assert_int_equal(number(j, "gid"), 7);
        assert_string_equal(json_string_value(json_object_get(j, "groups")), "4 24");
        assert_int_equal(number(j, "rss_bytes"), 1234 * 1024);
        assert_int_equal(number(j, "threads"), 2);
        assert_int_equal(number(j, "seccomp_filters"), 3);
        assert_string_equal(json_string_value(json_object_get(j, "seccomp")), "filter");
        assert_string_equal(json_string_value(json_object_get(j, "cap_effective")), "0000000000000000");
        assert_true(json_is_true(json_object_get(j, "no_new_privs")));
        json_object_clear(j);
        assert_int_equal(inspect_parse_status(empty, j), -EINVAL);
        json_decref(j);
}

static void test_limits(void **state) {
        char text[] = "Limit                     Soft Limit           Hard Limit           Units     \n"
                      "Max data size             unlimited            unlimited            bytes     \n"
                      "Max open files            256                  512                  files     \n";
        json_t *j = json_object(), *limits;

        assert_int_equal(inspect_parse_limits(text, j), 0);
        limits = json_object_get(j, "rlimits");
        assert_int_equal(number(limits, "files"), 256);
        assert_string_equal(json_string_value(json_object_get(limits, "data")), "unlimited");
        json_decref(j);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_status), cmocka_unit_test(test_limits) };

        return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
