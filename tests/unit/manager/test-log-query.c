/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client may ask of the logs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/log-follow.h"

static void test_queries(void **state) {
        static const struct {
                const char *query;
                size_t lines;
                uint32_t level;
                bool follow;
        } cases[] = {
                { NULL, 100, 7, false },
                { "", 100, 7, false },
                { "lines=7", 7, 7, false },
                { "lines=0&follow", 0, 7, true },
                { "follow=1&level=error&lines=100000", 100000, 3, true },
                { "follow&lines=5", 5, 7, true },
                { "follow=&", 100, 7, true },
                { "follow=0", 100, 7, false },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const char *expected = NULL;
                struct log_query q;

                assert_int_equal(log_query_parse(cases[i].query, &q, &expected), 0);
                assert_null(expected);
                assert_true(q.lines == cases[i].lines && q.level == cases[i].level && q.follow == cases[i].follow);
        }
}

static void test_mistakes(void **state) {
        static const struct {
                const char *query, *expected;
        } cases[] = {
                { "lines", "lines: expected a number" },    { "lines=", "lines: expected a number" },
                { "lines=-1", "lines: expected a number" }, { "lines=100001", "lines: expected a number" },
                { "level=loud", "level: expected emerg" },  { "level", "level: expected emerg" },
                { "follow=2", "follow: expected 1" },       { "tail=5", "expected lines=N" },
        };
        const char *expected;
        struct log_query q;
        char long_one[400];

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                assert_int_equal(log_query_parse(cases[i].query, &q, &expected), -EINVAL);
                assert_non_null(strstr(expected, cases[i].expected));
        }
        memset(long_one, 'x', sizeof(long_one) - 1);
        long_one[sizeof(long_one) - 1] = '\0';
        assert_int_equal(log_query_parse(long_one, &q, &expected), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_queries),
                cmocka_unit_test(test_mistakes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
