/* SPDX-License-Identifier: Apache-2.0
 *
 * What is streamed behind one request: the gateway's accounts of it, against a
 * worker whose end of the edge the test holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/loop.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"
#include "supervisor/gateway/upstream.h"

#define WINDOW FRAME_STREAM_WINDOW

static struct gateway gateway, *const g = &gateway;
static struct upstream *upstream;
static struct client client;
static struct instance *instance;
static struct edge *worker;
static struct request *request;
static struct stream *s;

static void open_edge(void) {
        struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        int ours[2], theirs[2];

        instance = instance_new(upstream, 1);
        assert_non_null(instance);
        instance->listed = instance->active = true;
        assert_int_equal(edge_new(&instance->edge, &limits), 0);
        assert_int_equal(edge_new(&worker, &limits), 0);
        edge_local_fds(instance->edge, ours);
        edge_local_fds(worker, theirs);
        assert_int_equal(edge_attach(worker, fd_dup(ours[0]), fd_dup(ours[1])), 0);
        assert_true(instance_open(instance, fd_dup(theirs[0]), fd_dup(theirs[1])));
        edge_local_sent(instance->edge);
        edge_local_sent(worker);
}

static void submit(void) {
        request = request_new(g, &client);
        assert_non_null(request);
        TAILQ_INSERT_TAIL(&client.requests, request, in_client);
        request->upstream = upstream;
        request->keep_alive = true;
        request->minor = 1;
        request->settings.timeout_ms = 1000;
        upstream->n_users++;
        s = stream_new(request);
        assert_non_null(s);
        s->takes_body = true;
        upstream_submit(request, 1000);
        assert_int_equal(request->state, REQUEST_SENT);
}

static int setup(void **state) {
        *g = (struct gateway){ .bus = { .manager.fd = -1, .version = 1 }, .now_ns = NS_PER_S, .memory_max = gateway_memory(1) };
        TAILQ_INIT(&g->rung);
        TAILQ_INIT(&g->unflushed);
        TAILQ_INIT(&g->touched);
        client = (struct client){ .gateway = g };
        TAILQ_INIT(&client.requests);
        call_table_init(&g->calls);
        upstream = calloc(1, sizeof(*upstream));
        assert_non_null(upstream);
        upstream->gateway = g;
        upstream->present = true;
        upstream->n_active = 1;
        strcpy(upstream->module.name, "m");
        TAILQ_INIT(&upstream->instances);
        TAILQ_INIT(&upstream->waiting);
        g->upstreams = upstream;
        assert_int_equal(net_new(loop_of_test(), &g->net, &g->no_uring), 0);
        open_edge();
        submit();
        return 0;
}

static int teardown(void **state) {
        upstream_forget(request);
        request_free(request);
        edge_free(worker);
        upstreams_deinit(g);
        call_table_deinit(&g->calls);
        while ((request = g->free_requests)) {
                g->free_requests = request->next_free;
                deadline_deinit(&g->deadlines, &request->deadline);
                free(request);
        }
        deadlines_deinit(&g->deadlines);
        output_pool_deinit(&g->pool);
        g->net = net_free(g->net);
        return 0;
}

/* The worker ------------------------------------------------------------------------------------------------------------- */

static int says(enum frame_kind kind, const void *data, uint32_t size) {
        struct edge_message m = { .frame = { .kind = (uint8_t)kind, .flags = FRAME_STREAM }, .payload = data, .size = size };

        return stream_on_part(s, &m);
}

static int says_data(uint32_t size) {
        static const uint8_t data[WINDOW + 1];

        assert_true(size <= sizeof(data));
        return says(FRAME_DATA, data, size);
}

static int grants(uint64_t n) {
        return says(FRAME_CREDIT, &n, sizeof(n));
}

/* The next message that has come: its kind, 0 for none. */
static int hears(struct edge_message *m) {
        edge_flush(instance->edge);
        edge_on_bell(worker);
        return edge_receive(worker, m) ? 0 : m->frame.kind;
}

static uint64_t hears_credit(void) {
        struct edge_message m;
        uint64_t n;

        assert_int_equal(hears(&m), FRAME_CREDIT);
        assert_int_equal(m.size, sizeof(n));
        memcpy(&n, m.payload, sizeof(n));
        return n;
}

static void hears_request(void) {
        struct edge_message m;

        assert_int_equal(hears(&m), FRAME_REQUEST);
        assert_true(m.frame.flags & FRAME_STREAM);
        assert_int_equal(m.frame.deadline, 0);
}

static void begins(int status, uint64_t length) {
        struct response response = { .status = status, .length = length };

        request_begin(request, &response);
}

static void assert_answer(const char *expected) {
        _cleanup_free_ char *text = calloc(1, request->answer.size + 1);
        struct iovec iov[64];
        int n = output_iov(&request->answer, iov, 64);
        size_t at = 0;

        for (int i = 0; i < n; i++) {
                memcpy(text + at, iov[i].iov_base, iov[i].iov_len);
                at += iov[i].iov_len;
        }
        assert_string_equal(text, expected);
}

/* Answers ---------------------------------------------------------------------------------------------------------------- */

static void test_pieces_become_chunks(void **state) {
        begins(200, RESPONSE_NO_LENGTH);
        output_consume(&request->answer, request->answer.size);
        assert_int_equal(says(FRAME_DATA, "hello", 5), 0);
        assert_int_equal(says(FRAME_DATA, "abcdefghijklmnop", 16), 0);
        assert_answer("5\r\nhello\r\n10\r\nabcdefghijklmnop\r\n");
        assert_int_equal(says(FRAME_END, NULL, 0), STREAM_E_ENDED);
        request_finish(request);
        assert_answer("5\r\nhello\r\n10\r\nabcdefghijklmnop\r\n0\r\n\r\n");
}

static void test_a_length_holds(void **state) {
        begins(200, 10);
        output_consume(&request->answer, request->answer.size);
        assert_int_equal(says(FRAME_DATA, "hello", 5), 0);
        assert_answer("hello");
        assert_int_equal(says(FRAME_END, NULL, 0), STREAM_E_LENGTH);
        assert_int_equal(says(FRAME_DATA, "world!", 6), STREAM_E_LENGTH);
        assert_int_equal(says(FRAME_DATA, "world", 5), 0);
        assert_int_equal(says(FRAME_DATA, "!", 1), STREAM_E_LENGTH);
        assert_int_equal(says(FRAME_END, NULL, 0), STREAM_E_ENDED);
}

static void test_what_has_no_body_keeps_none(void **state) {
        begins(304, RESPONSE_NO_LENGTH);
        output_consume(&request->answer, request->answer.size);
        assert_int_equal(says_data(WINDOW), 0);
        stream_grant(s, 0);
        assert_int_equal(s->allowed, WINDOW);
        assert_int_equal(request->answer.size, 0);
        assert_int_equal(says_data(1), STREAM_E_SIZE);
        assert_int_equal(says(FRAME_END, NULL, 0), STREAM_E_ENDED);
        request_finish(request);
        assert_int_equal(request->answer.size, 0);
}

static void test_credit_is_what_the_client_has_taken(void **state) {
        struct edge_message m;

        hears_request();
        stream_grant(s, 0);
        assert_int_equal(hears(&m), 0);
        begins(200, RESPONSE_NO_LENGTH);
        assert_int_equal(says_data(WINDOW), 0);
        assert_int_equal(says_data(1), STREAM_E_SIZE);
        stream_grant(s, WINDOW);
        stream_grant(s, 2 * WINDOW);
        stream_grant(s, WINDOW / 2 + 1);
        assert_int_equal(hears(&m), 0);
        stream_grant(s, WINDOW / 2);
        assert_int_equal(hears_credit(), WINDOW + WINDOW / 2);
        stream_grant(s, 1);
        assert_int_equal(hears(&m), 0);
        stream_grant(s, 0);
        assert_int_equal(hears_credit(), 2 * WINDOW);
        assert_int_equal(says_data(WINDOW), 0);
        assert_int_equal(says_data(1), STREAM_E_SIZE);
}

static void test_what_a_worker_may_not_send(void **state) {
        assert_int_equal(says_data(1), STREAM_E_UNOPENED);
        assert_int_equal(says(FRAME_END, NULL, 0), STREAM_E_UNOPENED);
        begins(200, RESPONSE_NO_LENGTH);
        assert_int_equal(says_data(0), STREAM_E_SIZE);
        assert_int_equal(says_data(WINDOW + 1), STREAM_E_SIZE);
        assert_int_equal(says(FRAME_END, "x", 1), STREAM_E_SIZE);
        assert_int_equal(grants(10), 0);
        assert_int_equal(grants(9), STREAM_E_SIZE);
        assert_int_equal(says(FRAME_CREDIT, "1234567", 7), STREAM_E_SIZE);
        s->takes_body = false;
        assert_int_equal(grants(11), STREAM_E_UNOPENED);
}

/* Bodies ----------------------------------------------------------------------------------------------------------------- */

static void expect_data(uint32_t size) {
        struct edge_message m;

        while (size) {
                assert_int_equal(hears(&m), FRAME_DATA);
                assert_true(m.size <= size);
                size -= m.size;
        }
        assert_int_equal(hears(&m), 0);
}

static void test_a_body_goes_on_as_it_is_read(void **state) {
        static const uint8_t data[WINDOW];
        struct edge_message m;

        hears_request();
        assert_true(stream_is_full(s)); /* nobody reads it */
        stream_add_body(s, data, 1000);
        stream_send_body(s);
        expect_data(0);
        assert_false(stream_has_moved(s));
        assert_int_equal(grants(600), 0);
        assert_false(stream_is_full(s));
        stream_send_body(s);
        expect_data(600);
        assert_true(stream_has_moved(s));
        stream_add_body(s, data, sizeof(data));
        assert_true(stream_is_full(s));
        s->body_whole = true;
        stream_send_body(s);
        expect_data(0);
        assert_int_equal(grants(WINDOW), 0);
        stream_send_body(s);
        expect_data(WINDOW - 600);
        assert_int_equal(grants(3 * WINDOW), 0);
        stream_send_body(s);
        for (uint32_t left = 1000; left; left -= m.size) {
                assert_int_equal(hears(&m), FRAME_DATA);
                assert_true(m.size <= left);
        }
        assert_int_equal(hears(&m), FRAME_END);
        stream_send_body(s);
        expect_data(0);
        assert_int_equal(g->pool.used, 0);
}

static void test_continue_comes_with_the_first_credit(void **state) {
        s->continues = true;
        assert_int_equal(grants(0), 0);
        assert_answer("");
        assert_int_equal(grants(1), 0);
        assert_int_equal(grants(2), 0);
        assert_answer("HTTP/1.1 100 Continue\r\n\r\n");
}

static void test_another_instance_begins_anew(void **state) {
        hears_request();
        s->granted = 100; /* it has said that it reads, and then that it has not begun */
        stream_add_body(s, "body", 4);
        stream_leave(s);
        stream_send_body(s);
        expect_data(0);
        assert_int_equal(grants(10), 0);
        stream_send_body(s);
        expect_data(4);
}

/* Time ------------------------------------------------------------------------------------------------------------------- */

static void test_who_is_waited_for(void **state) {
        uint64_t late = g->now_ns + NS_PER_S;

        assert_int_equal(stream_due_ns(s), late); /* to read, or to answer */
        grants(10);
        assert_true(stream_due_ns(s) == UINT64_MAX); /* the client's body */
        stream_add_body(s, "body", 4);
        assert_int_equal(stream_due_ns(s), late);
        g->now_ns += NS_PER_MS;
        stream_send_body(s);
        s->body_whole = true;
        late += NS_PER_MS;
        assert_int_equal(stream_due_ns(s), late);
        begins(200, RESPONSE_NO_LENGTH);
        g->now_ns += NS_PER_MS;
        says_data(WINDOW - 1);
        late += NS_PER_MS;
        assert_int_equal(stream_due_ns(s), late);
        says_data(1);
        assert_true(stream_due_ns(s) == UINT64_MAX); /* the client takes nothing */
        g->now_ns += NS_PER_MS;
        stream_grant(s, 0);
        assert_int_equal(stream_due_ns(s), late + NS_PER_MS);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                STREAM_TEST(test_pieces_become_chunks),
                STREAM_TEST(test_a_length_holds),
                STREAM_TEST(test_what_has_no_body_keeps_none),
                STREAM_TEST(test_credit_is_what_the_client_has_taken),
                STREAM_TEST(test_what_a_worker_may_not_send),
                STREAM_TEST(test_a_body_goes_on_as_it_is_read),
                STREAM_TEST(test_continue_comes_with_the_first_credit),
                STREAM_TEST(test_another_instance_begins_anew),
                STREAM_TEST(test_who_is_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
