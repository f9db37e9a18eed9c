/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates: there and back, the obsolete forms, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/http-date.h"

#define NOW UINT64_C(1795000000) /* November 2026 */

static void test_format(void **state) {
        static const uint64_t times[] = { 0, 784111777, 951782399, 951782400, 4102444800, UINT64_C(253402300799) };
        char text[HTTP_DATE_SIZE];
        uint64_t t;

        http_date_format(784111777, text);
        assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
        http_date_format(0, text);
        assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
        for (size_t i = 0; i < N_ELEMENTS(times); i++) {
                http_date_format(times[i], text);
                assert_true(http_date_parse(text, strlen(text), NOW, &t));
                assert_int_equal(t, times[i]);
        }
}

/* RFC 9110 5.6.7 */
static void test_forms(void **state) {
        static const struct {
                const char *text;
                uint64_t time;
        } cases[] = {
                { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
                { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
                { "Sun Nov  6 08:49:37 1994", 784111777 },
                { "Wed Nov 16 08:49:37 1994", 784975777 },
                { "Mon, 06 Nov 1994 08:49:37 GMT", 784111777 }, /* not that day's name */
                { "Saturday, 01-Jan-50 00:00:00 GMT", UINT64_C(2524608000) },
                { "Friday, 01-Jan-99 00:00:00 GMT", 915148800 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                uint64_t t;

                assert_true(http_date_parse(cases[i].text, strlen(cases[i].text), NOW, &t));
                assert_int_equal(t, cases[i].time);
        }
}

static void test_none(void **state) {
        static const char *const texts[] = {
                "",
                "0",
                "Sun",
                "Sun, 06 Nov 1994 08:49:37",
                "Sun, 06 Nov 1994 08:49:37 UTC",
                "Sun, 06 Nov 1994 08:49:37 GMT ",
                " Sun, 06 Nov 1994 08:49:37 GMT",
                "Sun, 6 Nov 1994 08:49:37 GMT",
                "sun, 06 nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 94 08:49:37 GMT",
                "Sun, 06 Nov 1994 24:00:00 GMT",
                "Sun, 06 Nov 1994 08:60:00 GMT",
                "Sun, 00 Nov 1994 08:49:37 GMT",
                "Sun, 32 Nov 1994 08:49:37 GMT",
                "Sun, -6 Nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 1969 08:49:37 GMT",
                "Sunday, 06-Nov-1994 08:49:37 GMT",
                "Sun Nov 6 08:49:37 1994",
        };
        uint64_t t;

        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                if (http_date_parse(texts[i], strlen(texts[i]), NOW, &t))
                        fail_msg("\"%s\" was taken for a date", texts[i]);
        }
        /* Not a byte beyond its size is looked at. */
        for (size_t size = 0; size < 29; size++)
                assert_false(http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT", size, NOW, &t));
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_format), cmocka_unit_test(test_forms), cmocka_unit_test(test_none) };

        return cmocka_run_group_tests_name("http-date", tests, NULL, NULL);
}
