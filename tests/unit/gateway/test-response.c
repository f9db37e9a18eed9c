/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers as bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/response.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEGIN(status) "HTTP/1.1 " status "\r\nServer: socle\r\nDate: " DATE "\r\n"

static struct http_field field(const char *name, const char *value) {
        return (struct http_field){ { name, (uint32_t)strlen(name) }, { value, (uint32_t)strlen(value) } };
}

static char *text_of(struct output *out) {
        char *text = malloc(out->size - out->file_size + 1), *at = text;

        assert_non_null(text);
        for (struct output_chunk *c = out->first; c && c->fd < 0; c = c->next) {
                memcpy(at, c->data, c->size);
                at += c->size;
        }
        *at = '\0';
        return text;
}

struct example {
        int status;
        bool head, close;
        uint8_t minor;
        const char *body, *expected;
};

static void test_status_and_body(void **state) {
        static const struct example examples[] = {
                { 200, false, false, 1, "hello", BEGIN("200 OK") "Content-Length: 5\r\n\r\nhello" },
                { 200, false, false, 1, "", BEGIN("200 OK") "Content-Length: 0\r\n\r\n" },
                { 200, true, false, 1, "hello", BEGIN("200 OK") "Content-Length: 5\r\n\r\n" },
                { 200, true, false, 1, "", BEGIN("200 OK") "\r\n" },
                { 204, false, false, 1, "hello", BEGIN("204 No Content") "\r\n" },
                { 205, false, false, 1, "hello", BEGIN("205 Reset Content") "Content-Length: 0\r\n\r\n" },
                { 304, false, false, 1, "hello", BEGIN("304 Not Modified") "\r\n" },
                { 404, false, false, 1, "no", BEGIN("404 Not Found") "Content-Length: 2\r\n\r\nno" },
                { 299, false, false, 1, "", BEGIN("299 ") "Content-Length: 0\r\n\r\n" },
                { 200, false, true, 1, "", BEGIN("200 OK") "Content-Length: 0\r\nConnection: close\r\n\r\n" },
                { 200, false, true, 0, "", BEGIN("200 OK") "Content-Length: 0\r\nConnection: close\r\n\r\n" },
                { 200, false, false, 0, "", BEGIN("200 OK") "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n" },
        };

        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                const struct example *e = &examples[i];
                struct response_context context = { .head = e->head, .keep_alive = !e->close, .minor = e->minor, .date = DATE };
                struct response response = { .status = e->status, .body = e->body, .body_size = strlen(e->body) };
                struct output_pool pool = { 0 };
                _cleanup_free_ char *text = NULL;
                struct output out;

                output_init(&out, &pool);
                assert_int_equal(response_write(&out, &response, &context), 0);
                text = text_of(&out);
                assert_string_equal(text, e->expected);
                output_deinit(&out);
                output_pool_deinit(&pool);
        }
}

static void test_what_is_not_the_modules_to_say(void **state) {
        const struct http_field fields[] = {
                field("content-type", "text/plain"),
                field("content-length", "9"),
                field("transfer-encoding", "chunked"),
                field("connection", "close"),
                field("keep-alive", "1"),
                field("date", "today"),
                field("server", "mine"),
                field("upgrade", "h2c"),
                field("te", "x"),
                field("trailer", "x"),
                field("proxy-connection", "x"),
                field("x-mine", ""),
                field("content-lengthy", "1"),
        };
        struct response_context context = { .keep_alive = true, .minor = 1, .date = DATE };
        struct response response = { .status = 200, .fields = fields, .n_fields = N_ELEMENTS(fields), .body = "a", .body_size = 1 };
        struct output_pool pool = { 0 };
        _cleanup_free_ char *text = NULL;
        struct output out;

        output_init(&out, &pool);
        assert_int_equal(response_write(&out, &response, &context), 0);
        text = text_of(&out);
        assert_string_equal(text,
                            BEGIN("200 OK") "content-type: text/plain\r\nx-mine: \r\ncontent-lengthy: 1\r\nContent-Length: 1\r\n\r\na");
        output_deinit(&out);
        output_pool_deinit(&pool);
}

/* A large body is not copied, a small one is; the buffer is consumed in both cases. */
static void test_a_buffer_that_is_handed_over(void **state) {
        static const size_t sizes[] = { 10, RESPONSE_COPY_MAX, RESPONSE_COPY_MAX + 1, 1000000 };

        for (size_t i = 0; i < N_ELEMENTS(sizes) * 2; i++) {
                size_t size = sizes[i / 2];
                uint8_t *buffer = malloc(size + 8);
                struct response_context context = { .head = i % 2, .keep_alive = true, .minor = 1, .date = DATE };
                struct response response = { .status = 200, .body = buffer + 8, .body_size = size, .taken = buffer };
                struct output_pool pool = { 0 };
                _cleanup_free_ char *text = NULL;
                char length[64];
                struct output out;

                memset(buffer, 'a', size + 8);
                output_init(&out, &pool);
                assert_int_equal(response_write(&out, &response, &context), 0);
                text = text_of(&out);
                snprintf(length, sizeof(length), "Content-Length: %zu\r\n\r\n", size);
                assert_non_null(strstr(text, length));
                assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), context.head ? 0 : size);
                assert_int_equal(out.last->data == buffer + 8, !context.head && size > RESPONSE_COPY_MAX);
                output_deinit(&out);
                output_pool_deinit(&pool);
        }
}

/* Its length is told, also where its bytes are not wanted; where they are not, it is closed. */
static void test_a_file(void **state) {
        static const struct {
                int status;
                bool head, sent, has_length;
        } cases[] = { { 200, false, true, true }, { 206, false, true, true }, { 200, true, false, true }, { 204, false, false, false } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct response_context context = { .head = cases[i].head, .keep_alive = true, .minor = 1, .date = DATE };
                struct response_file file = { memfd_create("file", MFD_CLOEXEC), 7, UINT64_C(6000000000) };
                const struct response response = { .status = cases[i].status, .file = &file };
                struct output_pool pool = { 0 };
                const struct output_chunk *piece;
                _cleanup_free_ char *text = NULL;
                struct output out;

                output_init(&out, &pool);
                assert_int_equal(response_write(&out, &response, &context), 0);
                text = text_of(&out);
                assert_int_equal(strstr(text, "Content-Length: 6000000000\r\n") != NULL, cases[i].has_length);
                assert_int_equal(fcntl(file.fd, F_GETFD) >= 0, cases[i].sent);
                output_consume(&out, strlen(text));
                piece = output_file(&out);
                assert_int_equal(piece != NULL, cases[i].sent);
                if (piece)
                        assert_true(piece->fd == file.fd && piece->offset == 7 && piece->size == file.size);
                output_deinit(&out);
                assert_int_equal(fcntl(file.fd, F_GETFD), -1);
                output_pool_deinit(&pool);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status_and_body),
                cmocka_unit_test(test_what_is_not_the_modules_to_say),
                cmocka_unit_test(test_a_buffer_that_is_handed_over),
                cmocka_unit_test(test_a_file),
        };

        return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
