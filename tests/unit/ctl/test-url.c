/* SPDX-License-Identifier: Apache-2.0
 *
 * No name becomes a path, a query or a header.
 */
#include "ipc/cleanup.h"
#include "supervisor/ctl/url.h"
#include "tests/unit/ctl/fixture.h"

static void test_encoding(void **state) {
        static const struct {
                const char *name, *url;
        } cases[] = {
                { "", "/v1//logs" },
                { "hello", "/v1/hello/logs" },
                { "hello@1.0.0-rc.1", "/v1/hello@1.0.0-rc.1/logs" },
                { "a+b_c~d", "/v1/a%2Bb_c~d/logs" },
                { "../x?y#z", "/v1/..%2Fx%3Fy%23z/logs" },
                { "a b\r\nHost: c", "/v1/a%20b%0D%0AHost%3A%20c/logs" },
                { "100%", "/v1/100%25/logs" },
                { "\xc3\xbc\xff", "/v1/%C3%BC%FF/logs" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *url = url_of("/v1/", cases[i].name, "/logs");

                assert_string_equal(url, cases[i].url);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_encoding) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
