/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses in any pieces.
 */
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/response.h"
#include "tests/unit/ctl/fixture.h"

#define LIMIT 64

/* What `expected` says of the feed or, at the end, of the close. */
static const struct {
        const char *text;
        int expected, status;
        const char *type, *body;
} cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n[1]\n", 0, 200, "application/json", "[1]\n" },
        { "HTTP/1.1 422 X\r\ncontent-TYPE: Application/Problem+JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}", 0, 422,
          "application/problem+json", "{}" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n", 0, 200, "", "abcde" },
        { "HTTP/1.1 100 Continue\r\nContent-Type: a/b\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 0, 201, "", "x" },
        { "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "", NULL },
        { "HTTP/1.0 503 X\r\nContent-Type: text/plain\r\n\r\nuntil the end", 0, 503, "text/plain", "until the end" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 404 pipelined, not asked for", 0, 200, "", "x" },
        { "HTTP/1.1 200 OK\r\nA-header-with-a-very-long-name-indeed: x\r\nContent-Type: y\r\nX: z\r\nContent-Length: 0\r\n\r\n", 0, 200,
          "y", NULL },
        { "", RESPONSE_E_SHORT, 0, "", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Le", RESPONSE_E_SHORT, 0, "", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", RESPONSE_E_SHORT, 0, "", NULL },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", RESPONSE_E_SHORT, 0, "", NULL },
        { "SSH-2.0-OpenSSH\r\n", RESPONSE_E_INVALID, 0, "", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123x",
          RESPONSE_E_TOO_LARGE, 0, "", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123", 0, 200, "",
          "0123456789012345678901234567890123456789012345678901234567890123" },
};

static void assert_case(size_t i, size_t split, size_t step) {
        size_t size = strlen(cases[i].text), at = 0, n;
        _cleanup_(response_deinit) struct response r;
        int e = 0;

        response_init(&r, LIMIT);
        while (!e && at < size) {
                n = at == 0 && split ? split : step;
                n = MIN(n, size - at);
                e = response_feed(&r, cases[i].text + at, n);
                at += n;
        }
        if (!e && !r.complete)
                e = response_end(&r);
        if (e != cases[i].expected)
                fail_msg("case %zu, split at %zu: %d instead of %d", i, split, e, cases[i].expected);
        assert_true(e != 0 || r.complete);
        if (e)
                return;
        assert_int_equal(r.status, cases[i].status);
        assert_string_equal(r.content_type, cases[i].type);
        assert_string_equal(r.body ? r.body : "", cases[i].body ? cases[i].body : "");
        assert_int_equal(r.size, cases[i].body ? strlen(cases[i].body) : 0);
}

static void test_responses_split_at_every_byte(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                for (size_t split = 0; split <= strlen(cases[i].text); split++)
                        assert_case(i, split, SIZE_MAX);
        }
}

static void test_responses_byte_by_byte(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_case(i, 0, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_responses_split_at_every_byte),
                cmocka_unit_test(test_responses_byte_by_byte),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
