/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gateway process, with everybody around it played by this one: what it
 * does when workers die, move, lie or are late, when managers come and go, and
 * when clients do as they like.
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
#include "ipc/errors.h"
#include "tests/unit/gateway/front.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define ACTIVE DIRECTORY_ACTIVE
#define DRAINING DIRECTORY_DRAINING

static struct front front, *const f = &front;

static int setup(void **state) {
        front_start(f);
        return 0;
}

static int teardown(void **state) {
        front_stop(f);
        return 0;
}

static void publish_one(uint64_t instance) {
        const struct front_module m = { .name = "m", .instances = { { instance, ACTIVE } } };

        front_publish(f, &m, 1);
}

/* A module "m" with one instance and a request to it that has arrived there. */
static int begun(struct worker *w, const char *request) {
        int c = client_connect(f);

        publish_one(1);
        client_send(c, request);
        front_grant(f, 1, w);
        worker_expect(w, FRAME_REQUEST);
        return c;
}

static void assert_text(struct http_text t, const char *expected) {
        assert_int_equal(t.size, strlen(expected));
        assert_memory_equal(t.text, expected, t.size);
}

/* There and back ----------------------------------------------------------------------------------------------------------- */

static void test_a_request_and_its_reply(void **state) {
        struct worker w;
        int c = begun(&w, "PUT /m/a%20b/../c?d=%20 HTTP/1.1\r\nHost: X:80\r\nConnection: keep-alive\r\nX-A: b\r\n"
                          "Content-Length: 4\r\n\r\nbody");

        assert_text(w.request.method, "PUT");
        assert_text(w.request.path, "/m/c");
        assert_text(w.request.query, "d=%20");
        assert_text(w.request.remote, "127.0.0.1");
        assert_text(worker_header(&w, "x-a"), "b");
        assert_text(worker_header(&w, "host"), "X:80");
        assert_null(worker_header(&w, "connection").text);
        assert_text((struct http_text){ w.request.body, (uint32_t)w.request.body_size }, "body");
        assert_true(w.message.frame.deadline > 0);
        worker_reply(&w, w.message.frame.correlation, 200, "hello");
        client_expect_answer(c, 200, "hello");
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 404, "none");
        client_expect_answer(c, 404, "none");
        close(c);
        worker_die(&w);
}

static void test_answers_go_out_in_the_order_of_requests(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m/1") GET("/m/2") GET("/m/3"));
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
        close(c);
        worker_die(&w);
}

static void test_large_bodies_both_ways(void **state) {
        const struct front_module m = { .name = "m", .instances = { { 1, ACTIVE } } };
        const size_t size = 3u << 20;
        _cleanup_free_ char *body = malloc(size), *head = NULL, *answer = NULL;
        char text[100];
        struct worker w;
        int c = client_connect(f);

        front_publish(f, &m, 1);
        memset(body, 'b', size);
        snprintf(text, sizeof(text), "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", size);
        client_send(c, text);
        client_send_bytes(c, body, size);
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_int_equal(w.request.body_size, size);
        assert_memory_equal(w.request.body, body, size);
        worker_reply_large(&w, w.message.frame.correlation, 100000);
        assert_int_equal(client_expect(c, &head, &answer), 200);
        assert_int_equal(strlen(answer), 100000);
        close(c);
        worker_die(&w);
}

static void test_chunked_bodies(void **state) {
        struct worker w;
        int c = begun(&w, "POST /m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n");

        assert_text((struct http_text){ w.request.body, (uint32_t)w.request.body_size }, "abcde");
        assert_null(worker_header(&w, "transfer-encoding").text);
        worker_reply(&w, w.message.frame.correlation, 204, "");
        client_expect_answer(c, 204, "HTTP/1.1 204 No Content\r\n");
        close(c);
        worker_die(&w);
}

static void test_head_has_a_length_and_no_body(void **state) {
        _cleanup_free_ char *head = NULL;
        struct worker w;
        int c = begun(&w, "HEAD /m HTTP/1.1\r\nHost: x\r\n\r\n" GET("/m/2"));

        worker_reply(&w, w.message.frame.correlation, 200, "hello");
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "second");
        assert_int_equal(client_expect(c, &head, NULL), 200);
        assert_non_null(strstr(head, "Content-Length: 5\r\n"));
        client_expect_answer(c, 200, "second");
        close(c);
        worker_die(&w);
}

/* RFC 9112 3.2.2 */
static void test_an_absolute_target_says_the_host(void **state) {
        struct worker w;
        int c = begun(&w, "GET http://real:81/m?q HTTP/1.1\r\nHost: pretended\r\n\r\n");

        assert_text(w.request.path, "/m");
        assert_text(worker_header(&w, "host"), "real:81");
        close(c);
        worker_die(&w);
}

static void test_the_prefix_is_stripped(void **state) {
        const struct front_module m = { .name = "m", .flags = DIRECTORY_ROUTE_STRIP, .instances = { { 1, ACTIVE } } };
        struct worker w;
        int c = client_connect(f);

        front_publish(f, &m, 1);
        client_send(c, GET("/m") GET("/m/a"));
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_text(w.request.path, "/");
        worker_expect(&w, FRAME_REQUEST);
        assert_text(w.request.path, "/a");
        close(c);
        worker_die(&w);
}

static void test_expect_100_continue(void **state) {
        _cleanup_free_ char *head = NULL;
        struct worker w;
        int c = client_connect(f);

        publish_one(1);
        client_send(c, "POST /m HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert_int_equal(client_expect(c, &head, NULL), 100);
        client_send(c, "ok");
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_null(worker_header(&w, "expect").text);
        worker_reply(&w, w.message.frame.correlation, 200, "done");
        client_expect_answer(c, 200, "done");
        close(c);
        worker_die(&w);
}

static void test_http_1_0(void **state) {
        struct worker w;
        int c = begun(&w, "GET /m HTTP/1.0\r\n\r\n");

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
                { "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 404, "NOT_FOUND", false },
                { "POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 404, "NOT_FOUND", false },
                { "POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417, "EXPECTATION_FAILED", true },
        };
        const struct front_module modules[] = { { .name = "down", .down = true }, { .name = "small", .body_max = 10 } };

        front_publish(f, modules, N_ELEMENTS(modules));
        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                int c = client_connect(f);

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

static void test_a_refusal_waits_for_its_turn(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m") "BAD\r\n\r\n" GET("/m"));

        worker_reply(&w, w.message.frame.correlation, 200, "first");
        client_expect_answer(c, 200, "first");
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
        c = begun(&w, text);
        ids[0] = w.message.frame.correlation;
        for (n = 1; n < 16; n++) {
                worker_expect(&w, FRAME_REQUEST);
                ids[n] = w.message.frame.correlation;
        }
        /* A request of somebody else comes at once: the seventeenth of this one did not. */
        int other = client_connect(f);
        client_send(other, GET("/m/other"));
        worker_expect(&w, FRAME_REQUEST);
        assert_text(w.request.path, "/m/other");
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
        close(c);
        worker_die(&w);
}

/* Workers ------------------------------------------------------------------------------------------------------------------ */

static void test_a_worker_dies_in_a_request(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m"));

        worker_begin(&w);
        worker_die(&w);
        client_expect_answer(c, 502, "PEER_DIED");
        close(c);
}

/* As the manager answers who asks for a dead one because the directory does not say so yet. */
static void grant_refusing_others(uint64_t instance, struct worker *ret_worker) {
        struct control_record record;

        for (;;) {
                front_expect(f, CONTROL_KIND_EDGE_REQUEST, &record);
                if (record.EDGE_REQUEST.target == instance)
                        break;
                CONTROL_SEND(f->manager, EDGE_REFUSED, record.header.request, NULL, 0, .target = record.EDGE_REQUEST.target,
                             .error = ERROR_UNAVAILABLE);
                control_record_deinit(&record);
        }
        front_accept_edge(f, &record, ret_worker);
        control_record_deinit(&record);
}

static void test_what_a_dead_worker_had_not_begun_goes_elsewhere(void **state) {
        struct worker w, other;
        int c = begun(&w, GET("/m/1") GET("/m/2"));

        worker_begin(&w);
        worker_expect(&w, FRAME_REQUEST);
        worker_die(&w);
        client_expect_answer(c, 502, "PEER_DIED");
        publish_one(2);
        grant_refusing_others(2, &other);
        worker_expect(&other, FRAME_REQUEST);
        assert_text(other.request.path, "/m/2");
        worker_reply(&other, other.message.frame.correlation, 200, "elsewhere");
        client_expect_answer(c, 200, "elsewhere");
        close(c);
        worker_die(&other);
}

static void test_a_reply_just_before_the_death_counts(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m"));

        worker_begin(&w);
        worker_reply(&w, w.message.frame.correlation, 200, "last words");
        worker_die(&w);
        client_expect_answer(c, 200, "last words");
        close(c);
}

static void test_a_deadline_passes(void **state) {
        const struct front_module m = { .name = "m", .timeout_ms = 50, .instances = { { 1, ACTIVE } } };
        struct control_record record;
        struct worker w;
        uint64_t id;
        int c = client_connect(f);

        front_publish(f, &m, 1);
        client_send(c, GET("/m"));
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        id = w.message.frame.correlation;
        client_expect_answer(c, 504, "TIMEOUT");
        worker_expect(&w, FRAME_CANCEL);
        assert_int_equal(w.message.frame.correlation, id);
        front_expect(f, CONTROL_KIND_TIMED_OUT, &record);
        assert_int_equal(record.TIMED_OUT.instance, 1);
        /* A late reply finds nobody, also not the next request. */
        client_send(c, GET("/m/2"));
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, id, 200, "late");
        worker_reply(&w, w.message.frame.correlation, 200, "in time");
        client_expect_answer(c, 200, "in time");
        close(c);
        worker_die(&w);
}

static void test_a_client_goes_away(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m"));
        uint64_t id = w.message.frame.correlation;

        close(c);
        worker_expect(&w, FRAME_CANCEL);
        assert_int_equal(w.message.frame.correlation, id);
        worker_die(&w);
}

static void test_a_client_that_said_goodbye_gets_its_answer(void **state) {
        struct worker w;
        int c = begun(&w, "GET /m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        shutdown(c, SHUT_WR);
        worker_reply(&w, w.message.frame.correlation, 200, "bye");
        client_expect_answer(c, 200, "bye");
        client_expect_end(c);
        worker_die(&w);
}

static void test_a_draining_worker_gives_requests_back(void **state) {
        const struct front_module after = { .name = "m", .instances = { { 1, DRAINING }, { 2, ACTIVE } } };
        struct worker w, other;
        int c = begun(&w, GET("/m"));

        worker_error(&w, w.message.frame.correlation, ERROR_NOT_STARTED);
        front_publish(f, &after, 1);
        front_grant(f, 2, &other);
        worker_expect(&other, FRAME_REQUEST);
        worker_reply(&other, other.message.frame.correlation, 200, "moved");
        client_expect_answer(c, 200, "moved");
        /* Nothing of ours is left there: the edge is closed. */
        worker_expect_closed(&w);
        close(c);
        worker_die(&other);
}

static void test_typed_errors_have_their_status(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m"));

        worker_error(&w, w.message.frame.correlation, ERROR_DENIED);
        client_expect_answer(c, 403, "DENIED");
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_error(&w, w.message.frame.correlation, 9999);
        client_expect_answer(c, 500, "INTERNAL");
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_error(&w, w.message.frame.correlation, ERROR_OVERLOADED);
        client_expect_answer(c, 503, "OVERLOADED");
        close(c);
        worker_die(&w);
}

static void test_replies_that_are_none(void **state) {
        static const struct {
                const char *bytes;
                uint32_t size;
        } examples[] = {
                { "", 0 },
                { "\xc1", 1 },
                { "\x94\x01\xcd\x00\x64\xdc\x00\x00\xc4\x00", 10 },                         /* status 100 */
                { "\x94\x01\xcd\x03\xe8\xdc\x00\x00\xc4\x00", 10 },                         /* 1000 */
                { "\x94\x01\xcd\x00\xc8\xdc\x00\x02\xa1\x61\xa3\x62\x0d\x0a\xc4\x00", 16 }, /* CR LF in a value */
                { "\x94\x01\xcd\x00\xc8\xdc\x00\x02\xa1\x20\xa1\x62\xc4\x00", 14 },         /* a name with a space */
        };
        struct worker w;
        int c = begun(&w, GET("/m"));

        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                worker_reply_bytes(&w, w.message.frame.correlation, examples[i].bytes, examples[i].size);
                client_expect_answer(c, 502, "BAD_REPLY");
                client_send(c, GET("/m"));
                worker_expect(&w, FRAME_REQUEST);
        }
        /* The edge goes on. */
        worker_reply(&w, w.message.frame.correlation, 200, "good");
        client_expect_answer(c, 200, "good");
        close(c);
        worker_die(&w);
}

static void test_an_edge_that_breaks_the_protocol_is_closed(void **state) {
        struct frame orphan = { .kind = FRAME_END };
        struct worker w;
        int c = begun(&w, GET("/m"));

        assert_int_equal(edge_send(w.edge, &orphan, NULL, 0, NULL), 0);
        edge_flush(w.edge);
        client_expect_answer(c, 502, "BAD_REPLY");
        worker_expect_closed(&w);
        /* It is not asked again before something about it changes. */
        client_send(c, GET("/m"));
        publish_one(2);
        front_grant(f, 2, &w);
        worker_expect(&w, FRAME_REQUEST);
        close(c);
        worker_die(&w);
}

static void test_somebody_elses_request_cannot_be_answered(void **state) {
        const struct front_module modules[] = { { .name = "a", .instances = { { 1, ACTIVE } } },
                                                { .name = "b", .instances = { { 2, ACTIVE } } } };
        struct worker a, b;
        int c = client_connect(f), d = client_connect(f);

        front_publish(f, modules, 2);
        client_send(c, GET("/a"));
        front_grant(f, 1, &a);
        worker_expect(&a, FRAME_REQUEST);
        client_send(d, GET("/b"));
        front_grant(f, 2, &b);
        worker_expect(&b, FRAME_REQUEST);
        worker_reply(&b, a.message.frame.correlation, 200, "stolen");
        worker_reply(&b, b.message.frame.correlation, 200, "own");
        client_expect_answer(d, 200, "own");
        worker_reply(&a, a.message.frame.correlation, 200, "honest");
        client_expect_answer(c, 200, "honest");
        close(c);
        close(d);
        worker_die(&a);
        worker_die(&b);
}

static void test_no_more_in_flight_than_the_manifest_says(void **state) {
        const struct front_module m = { .name = "m", .in_flight_max = 1, .instances = { { 1, ACTIVE } } };
        struct worker w;
        int c = client_connect(f);

        front_publish(f, &m, 1);
        client_send(c, GET("/m/1") GET("/m/2"));
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_false(worker_has_message(&w));
        worker_reply(&w, w.message.frame.correlation, 200, "one");
        client_expect_answer(c, 200, "one");
        worker_expect(&w, FRAME_REQUEST);
        assert_text(w.request.path, "/m/2");
        worker_reply(&w, w.message.frame.correlation, 200, "two");
        client_expect_answer(c, 200, "two");
        close(c);
        worker_die(&w);
}

static void test_requests_spread_over_instances(void **state) {
        const struct front_module m = { .name = "m", .instances = { { 1, ACTIVE }, { 2, ACTIVE } } };
        struct worker a, b;
        int c = client_connect(f);

        front_publish(f, &m, 1);
        client_send(c, GET("/m/1"));
        front_grant(f, 1, &a);
        front_grant(f, 2, &b);
        if (!worker_has_message(&a))
                worker_expect(&a, FRAME_REQUEST);
        client_send(c, GET("/m/2"));
        worker_expect(&b, FRAME_REQUEST);
        assert_text(b.request.path, "/m/2");
        worker_reply(&b, b.message.frame.correlation, 200, "two");
        worker_reply(&a, a.message.frame.correlation, 200, "one");
        client_expect_answer(c, 200, "one");
        client_expect_answer(c, 200, "two");
        close(c);
        worker_die(&a);
        worker_die(&b);
}

/* The manager -------------------------------------------------------------------------------------------------------------- */

static void test_a_request_waits_for_an_instance(void **state) {
        const struct front_module none = { .name = "m" };
        struct control_record record;
        struct worker w;
        int c = client_connect(f);

        front_publish(f, &none, 1);
        client_send(c, GET("/m"));
        front_expect(f, CONTROL_KIND_WATCH, &record);
        assert_int_equal(record.WATCH.generation, 1); /* the generation that it knows */
        publish_one(1);
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "at last");
        client_expect_answer(c, 200, "at last");
        close(c);
        worker_die(&w);
}

static void test_who_waits_is_told_when_nothing_comes(void **state) {
        const struct front_module soon = { .name = "m" }, never = { .name = "m", .down = true };
        const struct front_module late = { .name = "m", .timeout_ms = 50 };
        struct control_record record;
        int c = client_connect(f);

        front_publish(f, &soon, 1);
        client_send(c, GET("/m"));
        front_expect(f, CONTROL_KIND_WATCH, &record);
        front_publish(f, &never, 1);
        client_expect_answer(c, 503, "UNAVAILABLE");
        front_publish(f, &soon, 1);
        client_send(c, GET("/m"));
        front_expect(f, CONTROL_KIND_WATCH, &record);
        front_publish(f, NULL, 0);
        client_expect_answer(c, 503, "UNAVAILABLE");
        front_publish(f, &late, 1);
        client_send(c, GET("/m"));
        client_expect_answer(c, 503, "UNAVAILABLE");
        close(c);
}

static void test_an_edge_that_is_refused(void **state) {
        struct control_record record;
        struct worker w;
        int c = client_connect(f);

        publish_one(1);
        client_send(c, GET("/m"));
        front_expect(f, CONTROL_KIND_EDGE_REQUEST, &record);
        CONTROL_SEND(f->manager, EDGE_REFUSED, record.header.request, NULL, 0, .target = 1, .error = ERROR_BUSY);
        control_record_deinit(&record);
        /* Busy: the same one again, soon. */
        front_expect(f, CONTROL_KIND_EDGE_REQUEST, &record);
        assert_int_equal(record.EDGE_REQUEST.target, 1);
        CONTROL_SEND(f->manager, EDGE_REFUSED, record.header.request, NULL, 0, .target = 1, .error = ERROR_MOVED);
        control_record_deinit(&record);
        /* Moved: not before the directory says something else. */
        publish_one(2);
        front_grant(f, 2, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "two");
        client_expect_answer(c, 200, "two");
        close(c);
        worker_die(&w);
}

static void test_a_new_manager_takes_over(void **state) {
        const struct front_module modules[] = { { .name = "m", .instances = { { 1, ACTIVE } } },
                                                { .name = "n", .instances = { { 2, ACTIVE } } } };
        struct control_record record;
        uint64_t asked;
        struct worker m, n;
        int c = client_connect(f), d = client_connect(f);

        front_publish(f, modules, 2);
        client_send(c, GET("/m"));
        front_grant(f, 1, &m);
        worker_expect(&m, FRAME_REQUEST);
        client_send(d, GET("/n"));
        front_expect(f, CONTROL_KIND_EDGE_REQUEST, &record);
        asked = record.header.request;
        control_record_deinit(&record);
        /* It dies here, with our question unanswered. */
        front_new_manager(f);
        front_publish(f, modules, 2);
        front_expect(f, CONTROL_KIND_PEER_PAGE, &record);
        control_record_deinit(&record);
        front_expect(f, CONTROL_KIND_EDGE_REQUEST, &record);
        assert_int_not_equal(record.header.request, asked);
        assert_int_equal(record.EDGE_REQUEST.target, 2);
        front_accept_edge(f, &record, &n);
        control_record_deinit(&record);
        worker_expect(&n, FRAME_REQUEST);
        worker_reply(&n, n.message.frame.correlation, 200, "new");
        client_expect_answer(d, 200, "new");
        /* What was under way never noticed. */
        worker_reply(&m, m.message.frame.correlation, 200, "old");
        client_expect_answer(c, 200, "old");
        close(c);
        close(d);
        worker_die(&m);
        worker_die(&n);
}

static void test_a_new_link_is_taken(void **state) {
        struct worker w;
        int c, link[2];

        publish_one(1);
        c = client_connect(f);
        fd_close(f->manager);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, link), 0);
        f->manager = link[0];
        CONTROL_SEND(f->base, HANDOVER, 0, &link[1], 1, .what = HANDOVER_GATEWAY_LINK, .id = 7);
        fd_close(link[1]);
        client_send(c, GET("/m"));
        front_new_manager(f);
        publish_one(1);
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "on");
        client_expect_answer(c, 200, "on");
        close(c);
        worker_die(&w);
}

static void test_an_idle_edge_is_released(void **state) {
        struct worker w;
        int c = begun(&w, GET("/m"));

        worker_reply(&w, w.message.frame.correlation, 200, "x");
        client_expect_answer(c, 200, "x");
        CONTROL_SEND(f->manager, EDGE_RELEASE, 0, NULL, 0, .edge = 1001);
        worker_expect_closed(&w);
        client_send(c, GET("/m"));
        front_grant(f, 1, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "again");
        client_expect_answer(c, 200, "again");
        close(c);
        worker_die(&w);
}

/* The base ----------------------------------------------------------------------------------------------------------------- */

static void test_ping(void **state) {
        struct control_record record;

        CONTROL_SEND(f->base, PING, 42, NULL, 0, .reserved = 0);
        assert_int_equal(control_receive_wait(f->base, CONTROL_GATEWAY, CONTROL_BASE, 20000, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_PONG);
        assert_int_equal(record.header.request, 42);
}

static void test_the_page_counts(void **state) {
        struct page_reader *page = NULL;
        struct control_record record;
        struct page_vitals v;
        struct worker w;
        int c;

        front_expect(f, CONTROL_KIND_PEER_PAGE, &record);
        assert_int_equal(page_reader_new(&page, TAKE_FD(record.fds[0])), 0);
        c = begun(&w, "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        worker_reply(&w, w.message.frame.correlation, 500, "x");
        client_expect_answer(c, 500, "x");
        /* The counters of a turn are published at its end: a PONG comes from a later one. */
        test_ping(NULL);
        page_read(page, &v);
        assert_int_equal(v.requests, 1);
        assert_int_equal(v.errors, 1);
        assert_int_equal(v.bytes_in, 4);
        assert_true(v.bytes_out > 50);
        assert_int_equal(v.in_flight, 0);
        page_reader_free(page);
        close(c);
        worker_die(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_request_and_its_reply),
                TEST(test_answers_go_out_in_the_order_of_requests),
                TEST(test_large_bodies_both_ways),
                TEST(test_chunked_bodies),
                TEST(test_head_has_a_length_and_no_body),
                TEST(test_an_absolute_target_says_the_host),
                TEST(test_the_prefix_is_stripped),
                TEST(test_expect_100_continue),
                TEST(test_http_1_0),
                TEST(test_what_is_refused),
                TEST(test_a_refusal_waits_for_its_turn),
                TEST(test_a_connection_has_so_many_requests_at_once),
                TEST(test_a_worker_dies_in_a_request),
                TEST(test_what_a_dead_worker_had_not_begun_goes_elsewhere),
                TEST(test_a_reply_just_before_the_death_counts),
                TEST(test_a_deadline_passes),
                TEST(test_a_client_goes_away),
                TEST(test_a_client_that_said_goodbye_gets_its_answer),
                TEST(test_a_draining_worker_gives_requests_back),
                TEST(test_typed_errors_have_their_status),
                TEST(test_replies_that_are_none),
                TEST(test_an_edge_that_breaks_the_protocol_is_closed),
                TEST(test_somebody_elses_request_cannot_be_answered),
                TEST(test_no_more_in_flight_than_the_manifest_says),
                TEST(test_requests_spread_over_instances),
                TEST(test_a_request_waits_for_an_instance),
                TEST(test_who_waits_is_told_when_nothing_comes),
                TEST(test_an_edge_that_is_refused),
                TEST(test_a_new_manager_takes_over),
                TEST(test_a_new_link_is_taken),
                TEST(test_an_idle_edge_is_released),
                TEST(test_ping),
                TEST(test_the_page_counts),
        };

        return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
