/* SPDX-License-Identifier: Apache-2.0
 *
 * The query of a call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/call.h"

static void test_the_timeout(void **state) {
        static const struct {
                const char *query;
                uint64_t ms; /* 0: refused */
        } cases[] = {
                { NULL, 5000 },       { "", 5000 },         { "timeout=250ms", 250 }, { "timeout=1h", 3600000 },
                { "timeout=61m", 0 }, { "timeout=0s", 0 },  { "timeout=5", 0 },       { "timeout=", 0 },
                { "timeout=-1s", 0 }, { "patience=1s", 0 }, { "timeout=1s&x=1", 0 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct call_query q = { 0 };
                const char *expected = "";

                assert_int_equal(call_query_parse(cases[i].query, &q, &expected), cases[i].ms ? 0 : -EINVAL);
                assert_int_equal(q.timeout_ms, cases[i].ms);
                assert_non_null(strstr(expected, "timeout=TIME"));
        }
}

static void test_the_version(void **state) {
        static const char *const bad[] = {
                "version=", "version=1", "version=1.2.3&", "version=1.2.3&&timeout=1s", "version=1.2.3&timeout=0s", "Version=1.2.3"
        };
        struct call_query q;
        const char *expected;

        assert_int_equal(call_query_parse("version=1.2.3", &q, &expected), 0);
        assert_string_equal(q.version, "1.2.3");
        assert_int_equal(q.timeout_ms, 5000);
        assert_int_equal(call_query_parse("timeout=7s&version=1.2.3-rc.1", &q, &expected), 0);
        assert_string_equal(q.version, "1.2.3-rc.1");
        assert_int_equal(q.timeout_ms, 7000);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_int_equal(call_query_parse(bad[i], &q, &expected), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_the_timeout), cmocka_unit_test(test_the_version) };

        return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
