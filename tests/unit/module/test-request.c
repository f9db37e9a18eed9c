/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handler sees of its request, and what its reply becomes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "libmodule/request.h"

#define TEXT(s) ((struct http_text){ (s), (uint32_t)strlen(s) })

static struct socle_request *make_request(const char *path, const char *query, const void *body, size_t size) {
        static const struct http_field fields[] = { { { "content-type", 12 }, { "text/x", 6 } },
                                                    { { "x-twice", 7 }, { "first", 5 } },
                                                    { { "x-twice", 7 }, { "second", 6 } },
                                                    { { "x-empty", 7 }, { "", 0 } } };
        struct http_request_payload q = { .method = TEXT("GET"),
                                          .path = TEXT(path),
                                          .query = TEXT(query),
                                          .remote = TEXT("2001:db8::1"),
                                          .secure = true,
                                          .fields = fields,
                                          .n_fields = N_ELEMENTS(fields),
                                          .body = body,
                                          .body_size = size };
        struct frame frame = { .kind = FRAME_REQUEST };
        struct socle_request *req;
        uint8_t *data;
        uint32_t n;
        int error;

        assert_int_equal(http_request_encode(&q, &data, &n), 0);
        req = request_new(&frame, data, n, &error);
        assert_non_null(req);
        return req;
}

static void test_parts(void **state) {
        struct socle_request *req = make_request("/a/b c", "k=v", "body", 4);
        size_t size;

        assert_string_equal(socle_request_method(req), "GET");
        assert_string_equal(socle_request_path(req), "/a/b c");
        assert_string_equal(socle_request_client(req), "2001:db8::1");
        assert_string_equal(socle_request_scheme(req), "https");
        assert_string_equal(socle_request_query(req, "k", "none"), "v");
        assert_string_equal(socle_request_query(req, "K", "none"), "none");
        assert_null(socle_request_query(req, "other", NULL));
        assert_string_equal(socle_request_header(req, "Content-Type", ""), "text/x");
        assert_string_equal(socle_request_header(req, "X-Twice", ""), "first");
        assert_string_equal(socle_request_header(req, "x-empty", "none"), "");
        assert_string_equal(socle_request_header(req, "content", "none"), "none");
        assert_memory_equal(socle_request_body(req, &size), "body", 5); /* terminated, but not counted */
        assert_int_equal(size, 4);
        assert_string_equal(req->reply.type ? req->reply.type : "", "");
        request_free(req);
}

static void test_bodies(void **state) {
        static const size_t sizes[] = { 0, 1, 15, 16, 255, 256, 65535, 65536, 1 << 20 };

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                _cleanup_free_ uint8_t *body = malloc(sizes[i] + 1);
                struct socle_request *req;
                const uint8_t *got;
                size_t size;

                memset(body, 0xff, sizes[i]);
                req = make_request("/", "", body, sizes[i]);
                got = socle_request_body(req, &size);
                assert_int_equal(size, sizes[i]);
                assert_memory_equal(got, body, size);
                assert_int_equal(got[size], 0);
                request_free(req);
        }
}

static void test_query(void **state) {
        static const struct {
                const char *query, *name, *value; /* NULL: not there */
        } cases[] = {
                { "", "a", NULL },
                { "a=1", "a", "1" },
                { "a=1&a=2", "a", "1" },
                { "b=1&a=2", "a", "2" },
                { "a", "a", "" },
                { "a=", "a", "" },
                { "a&b", "b", "" },
                { "=x", "", "x" },
                { "&&a=1&&", "a", "1" },
                { "a=1=2", "a", "1=2" },
                { "a=x+y", "a", "x y" },
                { "a=x%20y%2B", "a", "x y+" },
                { "a=%41%4a%4A", "a", "AJJ" },
                { "%61=1", "a", "1" },
                { "a+b=1", "a b", "1" },
                { "a=%", "a", "%" },
                { "a=%4", "a", "%4" },
                { "a=%4&b=1", "a", "%4" },
                { "a=%zz", "a", "%zz" },
                { "a=%%41", "a", "%A" },
                { "a=%00x", "a", "" },
                { "a%00=1", "a", "1" },
                { "a=%c3%a9", "a", "\xc3\xa9" },
                { "ab=1", "a", NULL },
                { "a%3D=1", "a=", "1" },
        };
        struct arena arena = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                size_t n = strlen(cases[i].query);
                _cleanup_free_ char *exact = malloc(n ? n : 1); /* not terminated: one byte too far is seen */
                const char *value;

                memcpy(exact, cases[i].query, n);
                value = query_find(&arena, exact, n, cases[i].name);
                if (!cases[i].value)
                        assert_null(value);
                else
                        assert_string_equal(value, cases[i].value);
        }
        arena_deinit(&arena);
}

static void test_malformed(void **state) {
        struct frame frame = { .kind = FRAME_REQUEST };
        int error = 0;

        assert_null(request_new(&frame, calloc(1, 1), 1, &error));
        assert_int_equal(error, ERROR_BAD_REQUEST);
        assert_null(request_new(&frame, calloc(1, 64), 64, &error));
        assert_int_equal(error, ERROR_BAD_REQUEST);
}

/* Replies ------------------------------------------------------------------------------------------------------------- */

static int setup(void **state) {
        *state = make_request("/", "", "", 0);
        return 0;
}

static int teardown(void **state) {
        request_free(*state);
        return 0;
}

/* As the gateway reads it. */
struct seen {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload reply;
        uint8_t *data;
};

static void encode(struct socle_request *req, struct seen *seen) {
        uint32_t size;

        assert_int_equal(reply_encode(&req->reply, &seen->data, &size), 0);
        assert_int_equal(http_reply_decode(seen->data, size, seen->fields, &seen->reply), 0);
}

static void assert_field(const struct seen *seen, uint32_t i, const char *name, const char *value) {
        assert_true(i < seen->reply.n_fields);
        assert_int_equal(seen->fields[i].name.size, strlen(name));
        assert_memory_equal(seen->fields[i].name.text, name, strlen(name));
        assert_int_equal(seen->fields[i].value.size, strlen(value));
        assert_memory_equal(seen->fields[i].value.text, value, strlen(value));
}

static void test_reply_text(void **state) {
        struct socle_request *req = *state;
        struct seen seen;

        assert_int_equal(socle_reply_text(&req->reply, 200, "first"), 0);
        assert_int_equal(socle_reply_text(&req->reply, 201, "n = %d", 5), 0); /* the last counts */
        assert_int_equal(socle_reply_header(&req->reply, "X-Mine", "a"), 0);
        encode(req, &seen);
        assert_int_equal(seen.reply.status, 201);
        assert_int_equal(seen.reply.body_size, 5);
        assert_memory_equal(seen.reply.body, "n = 5", 5);
        assert_int_equal(seen.reply.n_fields, 2);
        assert_field(&seen, 0, "x-mine", "a");
        assert_field(&seen, 1, "content-type", "text/plain; charset=utf-8");
        free(seen.data);
}

static void test_reply_data(void **state) {
        struct socle_request *req = *state;
        char bytes[] = { 0, 1, 2 };
        struct seen seen;

        assert_int_equal(socle_reply_data(&req->reply, 200, "x/y", bytes, 3), 0);
        bytes[0] = 9; /* was copied */
        /* a type of one's own wins */
        assert_int_equal(socle_reply_header(&req->reply, "Content-Type", "a/b"), 0);
        encode(req, &seen);
        assert_memory_equal(seen.reply.body, "\0\1\2", 3);
        assert_int_equal(seen.reply.n_fields, 1);
        assert_field(&seen, 0, "content-type", "a/b");
        free(seen.data);
        assert_int_equal(socle_reply_data(&req->reply, 204, "x/y", NULL, 0), 0);
}

static void test_reply_problem(void **state) {
        static const char expected[] = "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,\"code\":\"MY_CODE\","
                                       "\"detail\":\"a \\\"b\\\" \\\\ \\u000a\"}\n";
        struct socle_request *req = *state;
        struct seen seen;

        assert_int_equal(socle_reply_problem(&req->reply, 409, "MY_CODE", "a \"b\" \\ \n"), 0);
        encode(req, &seen);
        assert_int_equal(seen.reply.body_size, strlen(expected));
        assert_memory_equal(seen.reply.body, expected, strlen(expected));
        assert_field(&seen, 0, "content-type", "application/problem+json");
        free(seen.data);
        reply_error(&req->reply, SOCLE_E_NOT_FOUND, NULL);
        assert_int_equal(req->reply.status, 404);
        assert_non_null(strstr(req->reply.body, "\"code\":\"NOT_FOUND\""));
        reply_error(&req->reply, 12345, NULL);
        assert_int_equal(req->reply.status, 500);
}

static void test_bad_status(void **state) {
        static const int statuses[] = { 0, -1, 100, 199, 600, 1000 };
        struct socle_request *req = *state;

        for (size_t i = 0; i < N_ELEMENTS(statuses); i++) {
                assert_int_equal(socle_reply_text(&req->reply, statuses[i], "x"), -EINVAL);
                assert_int_equal(socle_reply_data(&req->reply, statuses[i], "x/y", "x", 1), -EINVAL);
                assert_int_equal(socle_reply_problem(&req->reply, statuses[i], "X", "x"), -EINVAL);
        }
        assert_int_equal(req->reply.status, 0);
}

static void test_bad_headers(void **state) {
        static const struct {
                const char *name, *value;
        } bad[] = {
                { "", "x" },
                { "a b", "x" },
                { "a:", "x" },
                { "a\r\nb", "x" },
                { "a", "x\r\nb: c" },
                { "a", "\x01" },
                { "a", "\x7f" },
                { "\xc3\xa9", "x" },
                { "Connection", "close" },
                { "content-length", "5" },
                { "TE", "x" },
                { "Transfer-Encoding", "chunked" },
                { "Keep-Alive", "x" },
                { "upgrade", "x" },
                { "Trailer", "x" },
        };
        struct socle_request *req = *state;
        int n = 0;

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_int_equal(socle_reply_header(&req->reply, bad[i].name, bad[i].value), -EINVAL);
        assert_int_equal(req->reply.n_fields, 0);
        while (!socle_reply_header(&req->reply, "x", "y\t\xc3\xa9"))
                n++;
        assert_int_equal(n, HTTP_PAYLOAD_HEADERS_MAX - 1); /* one is the type's */
        assert_int_equal(socle_reply_text(&req->reply, 200, "x"), 0);
        {
                struct seen seen;

                encode(req, &seen);
                assert_int_equal(seen.reply.n_fields, HTTP_PAYLOAD_HEADERS_MAX);
                free(seen.data);
        }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts),     cmocka_unit_test(test_bodies), cmocka_unit_test(test_query),
                cmocka_unit_test(test_malformed), TEST(test_reply_text),         TEST(test_reply_data),
                TEST(test_reply_problem),         TEST(test_bad_status),         TEST(test_bad_headers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
