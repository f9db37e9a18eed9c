/* SPDX-License-Identifier: Apache-2.0
 *
 * `soclectl call` against a base that answers what it is told.
 */
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "tests/unit/ctl/fixture.h"

#define DONE                                                                                                                               \
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"                                                                        \
        "{\"method\":\"kv.get\",\"module\":\"kv\",\"instance\":7,\"took_us\":3,\"result\":{\"value\":\"a\\u0000b\"}}"
#define FAILED                                                                                                                             \
        "HTTP/1.1 404 X\r\nContent-Type: application/problem+json\r\n\r\n"                                                                 \
        "{\"code\":\"NO_SERVICE\",\"detail\":\"kv.get: no module provides this service\",\"hint\":\"deploy one\",\"fault\":\"CALLER\"}"

static int setup(void **state) {
        *state = folder_new();
        return 0;
}

static int teardown(void **state) {
        folder_free(*state);
        return 0;
}

static void test_what_is_sent_and_printed(void **state) {
        const char *words[] = { "call", "kv.get", "{\"key\": 1}", "--timeout", "250ms", NULL },
                   *bare[] = { "call", "kv.get", "--json", NULL };
        char request[4096];
        struct run run;

        converse(*state, DONE, words, &run, request, sizeof(request));
        assert_int_equal(run.status, 0);
        assert_int_equal(strncmp(request, "POST /v1/call/kv.get?timeout=250ms HTTP/1.1\r\n", 45), 0);
        assert_contains(request, "\r\n\r\n{\"key\": 1}");
        assert_string_equal(run.out.text, "{\n  \"value\": \"a\\u0000b\"\n}\n");
        run_free(&run);
        converse(*state, DONE, bare, &run, request, sizeof(request));
        assert_contains(request, "POST /v1/call/kv.get?timeout=5s HTTP/1.1\r\n");
        assert_contains(request, "\r\n\r\nnull");
        assert_contains(run.out.text, "\"instance\": 7");
        run_free(&run);
}

static void test_an_error_says_whose_fault_it_is(void **state) {
        const char *words[] = { "call", "kv.get", NULL };
        char request[4096];
        struct run run;

        converse(*state, FAILED, words, &run, request, sizeof(request));
        assert_int_equal(run.status, VERDICT_NOT_FOUND);
        assert_string_equal(run.out.text, "");
        assert_string_equal(run.err.text,
                            "soclectl: NO_SERVICE: kv.get: no module provides this service\nfault: the caller's\nhint: deploy one\n");
        run_free(&run);
}

static void test_slips_of_the_pen_are_told_with_their_place(void **state) {
        static const struct {
                const char *words[6], *says;
        } cases[] = {
                { { "call", "kv.get", "{\"a\": }" }, "no JSON (line 1, column 7)" },
                { { "call", "kv.get", "{\"a\": 1, \"a\": 2}" }, "duplicate" },
                { { "call", "kv.get", "99999999999999999999" }, "no JSON" },
                { { "call", "kv" }, "SERVICE.METHOD: kv" },
                { { "call", "kv.get", "--timeout", "5" }, "--timeout: expected" },
                { { "call", "kv.get", "--timeout", "61m" }, "at most 1h: 61m" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct run run;

                run_command(&run, cases[i].words);
                assert_int_equal(run.status, VERDICT_USAGE);
                assert_contains(run.err.text, cases[i].says);
                run_free(&run);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_is_sent_and_printed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_error_says_whose_fault_it_is, setup, teardown),
                cmocka_unit_test(test_slips_of_the_pen_are_told_with_their_place),
        };

        return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
