/* SPDX-License-Identifier: Apache-2.0
 *
 * Phrases of status codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/errors.h"
#include "ipc/http-status.h"

static void test_phrases(void **state) {
        assert_string_equal(http_status_phrase(200), "OK");
        assert_string_equal(http_status_phrase(404), "Not Found");
        assert_string_equal(http_status_phrase(422), "Unprocessable Content");
        assert_string_equal(http_status_phrase(599), "");
}

static void test_every_error_has_a_title(void **state) {
        for (int e = 1; error_known(e); e++)
                assert_true(http_status_phrase(error_info(e)->http_status)[0]);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_phrases), cmocka_unit_test(test_every_error_has_a_title) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
