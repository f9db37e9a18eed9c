/* SPDX-License-Identifier: Apache-2.0
 *
 * Problem documents.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/errors.h"
#include "ipc/http-status.h"
#include "supervisor/gateway/problem.h"
#include "supervisor/gateway/response.h"

static void test_of_an_error(void **state) {
        struct problem p = problem_of_error(ERROR_PEER_DIED, "hello");
        char text[PROBLEM_SIZE_MAX];
        size_t n = problem_format(&p, text);

        assert_int_equal(p.status, 502);
        assert_string_equal(text, "{\"type\":\"about:blank\",\"title\":\"Bad Gateway\",\"status\":502,\"code\":\"PEER_DIED\","
                                  "\"detail\":\"the worker died while it handled the request\",\"module\":\"hello\"}\n");
        assert_int_equal(n, strlen(text));
}

static void test_of_a_refusal(void **state) {
        struct problem p = problem_of_refusal(REFUSAL_BARE_LF);
        char text[PROBLEM_SIZE_MAX];

        problem_format(&p, text);
        assert_string_equal(text, "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"code\":\"BAD_REQUEST\","
                                  "\"detail\":\"a line ends in a bare line feed\"}\n");
}

static void test_text_is_escaped_and_cut(void **state) {
        char text[PROBLEM_SIZE_MAX], detail[2000];
        struct problem p = { .status = 500, .code = "X", .detail = "a\"b\\c\nd" };
        size_t n;

        problem_format(&p, text);
        assert_non_null(strstr(text, "\"detail\":\"a\\\"b\\\\c\\u000ad\""));
        memset(detail, '"', sizeof(detail));
        detail[sizeof(detail) - 1] = '\0';
        p.detail = p.module = detail;
        n = problem_format(&p, text);
        assert_int_equal(n, strlen(text));
        assert_string_equal(text + strlen(text) - 3, "\"}\n");
}

static void test_every_refusal_has_a_status_with_a_reason(void **state) {
        for (int r = _REFUSAL_NONE + 1; r < REFUSAL_N; r++) {
                const struct refusal_info *info = refusal_info((enum refusal)r);

                assert_true(info->status >= 400 && info->status < 600);
                assert_true(http_status_phrase(info->status)[0]);
                assert_non_null(strstr(info->section, "RFC "));
        }
}

static void test_every_error_has_a_status_with_a_reason(void **state) {
        for (int e = 1; error_info(e) != error_info(0) || e == ERROR_INTERNAL; e++)
                assert_true(http_status_phrase(error_info(e)->http_status)[0]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_of_an_error),
                cmocka_unit_test(test_of_a_refusal),
                cmocka_unit_test(test_text_is_escaped_and_cut),
                cmocka_unit_test(test_every_refusal_has_a_status_with_a_reason),
                cmocka_unit_test(test_every_error_has_a_status_with_a_reason),
        };

        return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
