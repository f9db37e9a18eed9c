/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gateway process between stand-ins (front.h): what clients and modules
 * see of HTTP, and what the gateway says by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "tests/unit/gateway/front.h"

/* There and back ----------------------------------------------------------------------------------------------------------- */

static void test_a_request_and_its_reply(void **state) {
        struct worker w;
        int c = front_begin(&w, "PUT /m/a%20b/../c?d=%20 HTTP/1.1\r\nHost: X:80\r\nConnection: keep-alive\r\nX-A: b\r\n"
                                "Content-Length: 4\r\n\r\nbody");

        assert_http_text(w.request.method, "PUT");
        assert_http_text(w.request.path, "/m/c");
        assert_http_text(w.request.query, "d=%20");
        assert_http_text(w.request.remote, "127.0.0.1");
        assert_http_text(worker_header(&w, "x-a"), "b");
        assert_http_text(worker_header(&w, "host"), "X:80");
        assert_null(worker_header(&w, "connection").text);
        assert_http_text((struct http_text){ w.request.body, (uint32_t)w.request.body_size }, "body");
        assert_true(w.message.frame.deadline > 0);
        client_expect_reply(c, &w, "hello");
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 404, "none");
        client_expect_answer(c, 404, "none");
        client_and_worker_leave(c, &w);
}

static void test_answers_go_out_in_the_order_of_requests(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m/1") GET("/m/2") GET("/m/3"));
        uint64_t ids[3] = { w.message.frame.correlation };

        for (int i = 1; i < 3; i++) {
                worker_expect(&w, FRAME_REQUEST);
                ids[i] = w.message.frame.correlation;
        }
        worker_reply(&w, ids[2], 200, "three");
        worker_reply(&w, ids[1], 200, "two");
        worker_reply(&w, ids[0], 200, "one");
        client_expect_answer(c, 200, "one");
        client_expect_answer(c, 200, "two");
        client_expect_answer(c, 200, "three");
        client_and_worker_leave(c, &w);
}

static void test_large_bodies_both_ways(void **state) {
        const struct front_module m = { .name = "m", .instances = { { 1, ACTIVE } } };
        const size_t size = 3u << 20;
        _cleanup_free_ char *body = malloc(size), *head = NULL, *answer = NULL;
        char text[100];
        struct worker w;
        int c = client_connect();

        front_publish(&m, 1);
        memset(body, 'b', size);
        snprintf(text, sizeof(text), "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", size);
        client_send(c, text);
        client_send_bytes(c, body, size);
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_int_equal(w.request.body_size, size);
        assert_memory_equal(w.request.body, body, size);
        worker_reply_large(&w, w.message.frame.correlation, 100000);
        assert_int_equal(client_expect(c, &head, &answer), 200);
        assert_int_equal(strlen(answer), 100000);
        client_and_worker_leave(c, &w);
}

static void test_chunked_bodies(void **state) {
        struct worker w;
        int c = front_begin(&w,
                            "POST /m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n");

        assert_http_text((struct http_text){ w.request.body, (uint32_t)w.request.body_size }, "abcde");
        assert_null(worker_header(&w, "transfer-encoding").text);
        worker_reply(&w, w.message.frame.correlation, 204, "");
        client_expect_answer(c, 204, "HTTP/1.1 204 No Content\r\n");
        client_and_worker_leave(c, &w);
}

static void test_head_has_a_length_and_no_body(void **state) {
        _cleanup_free_ char *head = NULL;
        struct worker w;
        int c = front_begin(&w, "HEAD /m HTTP/1.1\r\nHost: x\r\n\r\n" GET("/m/2"));

        worker_reply(&w, w.message.frame.correlation, 200, "hello");
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "second");
        assert_int_equal(client_expect(c, &head, NULL), 200);
        assert_non_null(strstr(head, "Content-Length: 5\r\n"));
        client_expect_answer(c, 200, "second");
        client_and_worker_leave(c, &w);
}

/* RFC 9110 9.3.2: not even why it was refused. */
static void test_a_refusal_of_head_has_no_body(void **state) {
        _cleanup_free_ char *head = NULL;
        int c;

        front_publish(&(struct front_module){ .name = "m" }, 1);
        c = client_connect();
        client_send(c, "HEAD /.. HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(client_expect(c, &head, NULL), 400);
        client_expect_end(c);
}

/* RFC 9112 3.2.2 */
static void test_an_absolute_target_says_the_host(void **state) {
        struct worker w;
        int c = front_begin(&w, "GET http://real:81/m?q HTTP/1.1\r\nHost: pretended\r\n\r\n");

        assert_http_text(w.request.path, "/m");
        assert_http_text(worker_header(&w, "host"), "real:81");
        client_and_worker_leave(c, &w);
        c = front_begin(&w, "GET http://real:81/m HTTP/1.0\r\n\r\n");
        assert_http_text(worker_header(&w, "host"), "real:81");
        client_and_worker_leave(c, &w);
}

static void test_the_prefix_is_stripped(void **state) {
        const struct front_module m = { .name = "m", .flags = DIRECTORY_ROUTE_STRIP, .instances = { { 1, ACTIVE } } };
        struct worker w;
        int c = client_connect();

        front_publish(&m, 1);
        client_send(c, GET("/m") GET("/m/a"));
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_http_text(w.request.path, "/");
        worker_expect(&w, FRAME_REQUEST);
        assert_http_text(w.request.path, "/a");
        client_and_worker_leave(c, &w);
}

static void test_expect_100_continue(void **state) {
        _cleanup_free_ char *head = NULL;
        struct worker w;
        int c = client_connect();

        front_publish_one(1);
        client_send(c, "POST /m HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert_int_equal(client_expect(c, &head, NULL), 100);
        client_send(c, "ok");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_null(worker_header(&w, "expect").text);
        client_expect_reply(c, &w, "done");
        client_and_worker_leave(c, &w);
}

static void test_http_1_0(void **state) {
        struct worker w;
        int c = front_begin(&w, "GET /m HTTP/1.0\r\n\r\n");

        worker_reply(&w, w.message.frame.correlation, 200, "bye");
        client_expect_answer(c, 200, "Connection: close");
        client_expect_end(c);
        worker_die(&w);
}

/* What the gateway says itself ---------------------------------------------------------------------------------------------- */

static void test_what_is_refused(void **state) {
        static const struct {
                const char *request;
                int status;
                const char *part;
                bool ends;
        } examples[] = {
                { GET("/none"), 404, "no module serves this path", false },
                { GET("/down"), 503, "UNAVAILABLE", false },
                { GET("/down"), 503, "retry-after: 1", false },
                { "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, "allow: GET", false },
                { "GET / HTTP/1.1\r\n\r\n", 400, "there is no Host", true },
                { "GET / HTTP/1.1\nHost: x\r\n\r\n", 400, "bare line feed", true },
                { "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "NUL", true },
                { "GET /../a HTTP/1.1\r\nHost: x\r\n\r\n", 400, "above its root", true },
                { "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505, "VERSION_NOT_SUPPORTED", true },
                { "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501, "NOT_IMPLEMENTED", true },
                { "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890", 413, "TOO_LARGE", false },
                { "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n0123456789", 413, "TOO_LARGE", true },
                { "POST /small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n", 413, "TOO_LARGE", true },
                { "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n", 413, "TOO_LARGE",
                  true },
                { "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, "chunk's size", true },
                /* What is announced and can never be taken is not waited for. */
                { "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0", 413, "TOO_LARGE", true },
                { "OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n", 204, "allow: GET", false },
                { "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 404, "NOT_FOUND", false },
                { "POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 404, "NOT_FOUND", false },
                { "POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417, "EXPECTATION_FAILED", true },
        };
        const struct front_module modules[] = { { .name = "down", .down = true }, { .name = "small", .body_max = 10 } };

        front_publish(modules, N_ELEMENTS(modules));
        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                int c = client_connect();

                client_send(c, examples[i].request);
                client_expect_answer(c, examples[i].status, examples[i].part);
                if (examples[i].ends) {
                        client_expect_end(c);
                        continue;
                }
                /* The next request begins where it must. */
                client_send(c, GET("/none"));
                client_expect_answer(c, 404, "no module serves");
                close(c);
        }
}

static void test_a_route_has_its_own_body_limit(void **state) {
        const struct front_module m = { .name = "m", .body_max = 10, .setting = { .path = "/m/up", .body_max = 20, .timeout_ms = 60000 } };
        static const struct {
                const char *request;
                int status;
        } examples[] = {
                { "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\nabcdefghijklmno", 413 },
                { "POST /m/upper HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\nabcdefghijklmno", 413 },
                { "POST /m/up HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\nabcdefghijklmno", 503 },
                { "POST /m/up/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nabcdefghijklmnopqrst\r\n0\r\n\r\n", 503 },
                { "POST /m/up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n15\r\na", 413 },
        };
        struct front_module down = m;

        down.down = true;
        front_publish(&down, 1);
        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                int c = client_connect();

                client_send(c, examples[i].request);
                client_expect_answer(c, examples[i].status, "");
                close(c);
        }
}

static void test_a_refusal_waits_for_its_turn(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m") "BAD\r\n\r\n" GET("/m"));

        client_expect_reply(c, &w, "first");
        client_expect_answer(c, 400, "BAD_REQUEST");
        client_expect_end(c);
        worker_die(&w);
}

static void test_a_connection_has_so_many_requests_at_once(void **state) {
        struct worker w;
        char text[40 * sizeof(GET("/m"))] = "";
        uint64_t ids[40];
        int c, n;

        for (n = 0; n < 40; n++)
                strcat(text, GET("/m"));
        c = front_begin(&w, text);
        ids[0] = w.message.frame.correlation;
        for (n = 1; n < 16; n++) {
                worker_expect(&w, FRAME_REQUEST);
                ids[n] = w.message.frame.correlation;
        }
        /* A request of somebody else comes at once: the seventeenth of this one did not. */
        int other = client_connect();
        client_send(other, GET("/m/other"));
        worker_expect(&w, FRAME_REQUEST);
        assert_http_text(w.request.path, "/m/other");
        close(other);
        worker_expect(&w, FRAME_CANCEL);
        for (n = 0; n < 40; n++) {
                if (n >= 16) {
                        worker_expect(&w, FRAME_REQUEST);
                        ids[n] = w.message.frame.correlation;
                }
                worker_reply(&w, ids[n], 200, "x");
                client_expect_answer(c, 200, "x");
        }
        client_and_worker_leave(c, &w);
}

static void test_a_client_goes_away(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));
        uint64_t id = w.message.frame.correlation;

        close(c);
        worker_expect(&w, FRAME_CANCEL);
        assert_int_equal(w.message.frame.correlation, id);
        worker_die(&w);
}

static void test_a_client_that_said_goodbye_gets_its_answer(void **state) {
        struct worker w;
        int c = front_begin(&w, "GET /m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        shutdown(c, SHUT_WR);
        client_expect_reply(c, &w, "bye");
        client_expect_end(c);
        worker_die(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                FRONT_TEST(test_a_request_and_its_reply),
                FRONT_TEST(test_answers_go_out_in_the_order_of_requests),
                FRONT_TEST(test_large_bodies_both_ways),
                FRONT_TEST(test_chunked_bodies),
                FRONT_TEST(test_head_has_a_length_and_no_body),
                FRONT_TEST(test_a_refusal_of_head_has_no_body),
                FRONT_TEST(test_an_absolute_target_says_the_host),
                FRONT_TEST(test_the_prefix_is_stripped),
                FRONT_TEST(test_expect_100_continue),
                FRONT_TEST(test_http_1_0),
                FRONT_TEST(test_what_is_refused),
                FRONT_TEST(test_a_route_has_its_own_body_limit),
                FRONT_TEST(test_a_refusal_waits_for_its_turn),
                FRONT_TEST(test_a_connection_has_so_many_requests_at_once),
                FRONT_TEST(test_a_client_goes_away),
                FRONT_TEST(test_a_client_that_said_goodbye_gets_its_answer),
        };

        return cmocka_run_group_tests_name("process-http", tests, NULL, NULL);
}
