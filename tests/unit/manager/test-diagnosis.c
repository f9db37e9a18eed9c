/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said of a worker that does not come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/diagnosis.h"

static void test_what(void **state) {
        static const struct {
                const char *request;
                uint64_t ran_ms;
                const char *what;
        } cases[] = {
                { "GET /x", 30000, "hung: GET /x has run for 30.0 s and is ended" },
                { "kv.get", 999, "hung: kv.get has run for 1.0 s and is ended" },
                { "", 1260, "hung: code that handles no request has run for 1.3 s and is ended" },
        };
        char text[192];

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                diagnosis_what(cases[i].request, cases[i].ran_ms, text, sizeof(text));
                assert_string_equal(text, cases[i].what);
        }
}

static void test_text(void **state) {
        char text[640], position[384];

        diagnosis_text("hung: x", "a.so: f+0x1", text, sizeof(text));
        assert_string_equal(text, "hung: x; it is in a.so: f+0x1");
        diagnosis_text("hung: x", "", text, sizeof(text));
        assert_string_equal(text, "hung: x; it does not answer where it is");
        memset(position, 'f', sizeof(position) - 1);
        position[sizeof(position) - 1] = '\0';
        diagnosis_text("hung: x", position, text, 64);
        assert_int_equal(strlen(text), 63);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_what), cmocka_unit_test(test_text) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
