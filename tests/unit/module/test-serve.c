/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's edges and requests without a process: the test is the manager at
 * one end of the link and the caller at the other end of the edge, and turns
 * the worker's loop by hand.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/control.h"
#include "ipc/edge-layout.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "libmodule/worker-internal.h"

#define LIMITS ((struct edge_limits){ .ring_size = 4096, .max_message = 64 << 10, .max_partial = 256 << 10 })
/* HTTP and the first three methods */
#define OFFER(id) ((struct control_edge_offer){ .edge = (id), .peer = (id), .is_gateway = 1, .methods = { 0xf } })
#define TEXT(s) ((struct http_text){ (s), (uint32_t)strlen(s) })

struct world {
        int link[2]; /* the worker's end, the manager's */
        struct worker_settings settings;
        struct edge *caller;
};

/* Handlers ------------------------------------------------------------------------------------------------------------ */

static int hello(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "hello %s", socle_request_query(req, "name", "world"));
}

static int fails(struct socle_request *req, struct socle_reply *reply) {
        return SOCLE_E_DENIED;
}

static int says_nothing(struct socle_request *req, struct socle_reply *reply) {
        return 0;
}

static int huge(struct socle_request *req, struct socle_reply *reply) {
        _cleanup_free_ char *bytes = calloc(1, 128 << 10);

        return socle_reply_data(reply, 200, "x/y", bytes, 128 << 10);
}

static int large(struct socle_request *req, struct socle_reply *reply) {
        _cleanup_free_ char *bytes = calloc(1, 40 << 10);

        return socle_reply_data(reply, 200, "x/y", bytes, 40 << 10);
}

static int sleeps(struct socle_request *req, struct socle_reply *reply) {
        int r = socle_sleep(1);

        return r ? r : socle_reply_text(reply, 200, "slept");
}

static int long_sleep, next_sleep;

/* A day, unless nobody waits for it any more; then every further sleep is a short one. */
static int sleeps_long(struct socle_request *req, struct socle_reply *reply) {
        long_sleep = socle_sleep(86400000);
        next_sleep = socle_sleep(86400000);
        return socle_reply_text(reply, 200, "slept");
}

static void in_thread(void *arg) {
        *(int *)arg = 42;
}

static int offloads(struct socle_request *req, struct socle_reply *reply) {
        int answer = 0;

        assert_int_equal(socle_offload(in_thread, &answer), 0);
        return socle_reply_text(reply, 200, "%d", answer);
}

static int n_echoed;

static int echo(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        const char *text = "nil";

        n_echoed++;
        if (socle_unpack(args, "n") != 0 && socle_unpack(args, "s", &text) != 0)
                return socle_fail(SOCLE_E_BAD_REQUEST, "no text");
        return socle_pack(result, "s", text);
}

static int code;

static int returns_code(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return code;
}

static int long_result;

static int takes_long(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return long_result = socle_sleep(20);
}

/* The worker ---------------------------------------------------------------------------------------------------------- */

static void offer(struct world *w, uint64_t id) {
        struct control_record record;
        int fds[2];

        assert_int_equal(edge_new(&w->caller, &LIMITS), 0);
        edge_local_fds(w->caller, fds);
        connection_offer(&OFFER(id), fd_dup(fds[0]), fd_dup(fds[1]));
        edge_local_sent(w->caller);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_ACCEPT);
        assert_int_equal(record.EDGE_ACCEPT.edge, id);
        assert_int_equal(edge_attach(w->caller, TAKE_FD(record.fds[0]), TAKE_FD(record.fds[1])), 0);
        control_record_deinit(&record);
}

static int setup(void **state) {
        static struct world w;
        static const struct {
                const char *path;
                socle_handler fn;
        } routes[] = { { "/hello", hello }, { "/fails", fails },   { "/nothing", says_nothing }, { "/huge", huge },
                       { "/large", large }, { "/sleeps", sleeps }, { "/long", sleeps_long },     { "/offloads", offloads } };
        static const char *const methods[] = { "kv.echo", "kv.code", "kv.long", "kv.secret", "kv.nothing" };
        int page = page_new_fd();

        memset(&w, 0, sizeof(w));
        w.settings = (struct worker_settings){
                .name = "test", .prefix = "/", .in_flight = 3, .methods = methods, .n_methods = N_ELEMENTS(methods)
        };
        assert_int_equal(fd_socketpair(w.link), 0);
        the_worker = (struct worker){ .start = { .link = w.link[0], .settings = &w.settings }, .ring_size = 4096, .max_message = 64 << 10 };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        the_worker.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (wait_offload_fd() < 0)
                assert_int_equal(wait_init(), 0);
        for (size_t i = 0; i < N_ELEMENTS(routes); i++)
                assert_int_equal(route_add(&the_worker.module.routes, "GET", routes[i].path, routes[i].fn), 0);
        the_worker.starting = true;
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.echo", echo), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.code", returns_code), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.long", takes_long), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.secret", echo), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.secret", echo), -EEXIST);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.other", echo), -ENOENT);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.nothing", NULL), -EINVAL);
        the_worker.starting = false;
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.nothing", echo), -EPERM);
        the_worker.ready = true;
        offer(&w, 7);
        *state = &w;
        return 0;
}

static int teardown(void **state) {
        struct world *w = *state;

        while (the_worker.connections)
                connection_end(the_worker.connections->peer);
        w->caller = edge_free(w->caller);
        route_table_deinit(&the_worker.module.routes);
        free(the_worker.module.methods);
        arena_deinit(&the_worker.arena);
        munmap(the_worker.start.page, PAGE_SIZE_TOTAL);
        fd_close(the_worker.epoll);
        fd_close(w->link[0]);
        fd_close(w->link[1]);
        return 0;
}

/* One turn of worker.c's loop; true: there is more to do. */
static bool turn(int timeout_ms) {
        struct epoll_event events[16];
        int n = epoll_wait(the_worker.epoll, events, N_ELEMENTS(events), timeout_ms);

        for (int i = 0; i < n; i++) {
                struct bell *bell = events[i].data.ptr;

                bell->on_ring(bell, events[i].events & EPOLLHUP);
        }
        wait_turn();
        return connections_turn();
}

static void send_request(struct world *w, uint64_t correlation, const char *path, const char *query) {
        struct http_request_payload q = { .method = TEXT("GET"), .path = TEXT(path), .query = TEXT(query) };
        struct frame frame = { .kind = FRAME_REQUEST, .correlation = correlation };
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        assert_int_equal(http_request_encode(&q, &data, &size), 0);
        assert_int_equal(edge_send(w->caller, &frame, data, size, NULL), 0);
        assert_int_equal(edge_flush(w->caller), 0);
}

/* Turns until the answer is there; asleep only when the worker says so. */
static void take_answer(struct world *w, struct edge_message *m) {
        bool more = true;

        for (int i = 0; i < 10000; i++) {
                int timeout = wait_timeout_ms();
                int r;

                more = turn(more ? 0 : timeout < 0 ? 0 : timeout);
                edge_on_bell(w->caller);
                r = edge_receive(w->caller, m);
                if (!r)
                        return;
                assert_int_equal(r, EDGE_E_EMPTY);
                edge_arm(w->caller);
                edge_flush(w->caller);
        }
        fail_msg("no answer");
}

static void expect_reply(struct world *w, uint64_t correlation, int status, const char *body) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload reply;
        struct edge_message m;

        take_answer(w, &m);
        assert_int_equal(m.frame.kind, FRAME_REPLY);
        assert_int_equal(m.frame.correlation, correlation);
        assert_int_equal(http_reply_decode(m.payload, m.size, fields, &reply), 0);
        assert_int_equal(reply.status, status);
        if (!body)
                return;
        assert_int_equal(reply.body_size, strlen(body));
        assert_memory_equal(reply.body, body, strlen(body));
}

static void expect_error(struct world *w, uint64_t correlation, int error) {
        struct edge_message m;

        take_answer(w, &m);
        assert_int_equal(m.frame.kind, FRAME_ERROR);
        assert_int_equal(m.frame.correlation, correlation);
        assert_int_equal(m.frame.error, error);
}

static uint64_t in_flight(void) {
        return shared_load64(&the_worker.start.page->in_flight);
}

/* Requests ------------------------------------------------------------------------------------------------------------ */

static void test_request(void **state) {
        struct world *w = *state;

        send_request(w, 5, "/hello", "name=socle");
        expect_reply(w, 5, 200, "hello socle");
        assert_int_equal(in_flight(), 0);
        assert_int_equal(shared_load64(&the_worker.start.page->requests), 1);
        assert_int_equal(shared_load64(&the_worker.start.page->errors), 0);
        /* it had begun: nobody may repeat it elsewhere unasked */
        assert_true(edge_peer_accepted(w->caller) == edge_sent_position(w->caller));
}

static void test_answers_of_the_library(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/fails", "");
        expect_reply(w, 1, 403, NULL);
        send_request(w, 2, "/nothing", "");
        expect_reply(w, 2, 500, NULL);
        send_request(w, 3, "/none", "");
        expect_reply(w, 3, 404, NULL);
        assert_int_equal(in_flight(), 0);
}

static void test_many_in_one_turn(void **state) {
        struct world *w = *state;

        for (uint64_t i = 0; i < 12; i++)
                send_request(w, i, "/hello", "");
        for (uint64_t i = 0; i < 12; i++)
                expect_reply(w, i, 200, "hello world");
}

static void test_waiting_requests_overlap(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/sleeps", "");
        send_request(w, 2, "/hello", "");
        expect_reply(w, 2, 200, NULL);
        assert_string_equal(the_worker.start.page->request, "GET /hello");
        assert_int_equal(in_flight(), 1);
        expect_reply(w, 1, 200, "slept");
        assert_string_equal(the_worker.start.page->request, "GET /sleeps"); /* whatever ran in between */
        assert_int_equal(in_flight(), 0);
        assert_int_equal(wait_timeout_ms(), -1);
}

static void test_offload(void **state) {
        struct world *w = *state;
        struct pollfd done = { .fd = wait_offload_fd(), .events = POLLIN };

        send_request(w, 1, "/offloads", "");
        turn(0);
        assert_int_equal(poll(&done, 1, 10000), 1);
        assert_int_equal(in_flight(), 1);
        wait_on_offloaded();
        expect_reply(w, 1, 200, "42");
}

/* What is over the limit is refused at once and has not begun. */
static void test_overload(void **state) {
        struct world *w = *state;
        struct edge_message m;
        unsigned refused = 0;

        for (uint64_t i = 0; i < 5; i++)
                send_request(w, i, "/sleeps", "");
        for (int i = 0; i < 5; i++) {
                take_answer(w, &m);
                if (m.frame.kind == FRAME_ERROR) {
                        assert_int_equal(m.frame.error, ERROR_OVERLOADED);
                        refused++;
                }
        }
        assert_int_equal(refused, 2);
        assert_int_equal(in_flight(), 0);
}

static void test_refusals(void **state) {
        struct world *w = *state;
        struct frame late = { .kind = FRAME_REQUEST, .correlation = 1, .deadline = 1 },
                     method = { .kind = FRAME_REQUEST, .correlation = 2, .method = 9 }, junk = { .kind = FRAME_REQUEST, .correlation = 3 };

        edge_send(w->caller, &late, NULL, 0, NULL);
        edge_flush(w->caller);
        expect_error(w, 1, ERROR_TIMEOUT);
        edge_send(w->caller, &method, NULL, 0, NULL);
        edge_flush(w->caller);
        expect_error(w, 2, ERROR_NO_METHOD);
        edge_send(w->caller, &junk, "junk", 4, NULL);
        edge_flush(w->caller);
        expect_error(w, 3, ERROR_BAD_REQUEST);
        /* none of them has begun but the one that was looked into */
        the_worker.draining = true;
        send_request(w, 4, "/hello", "");
        expect_error(w, 4, ERROR_NOT_STARTED);
        assert_true(edge_peer_accepted(w->caller) < edge_sent_position(w->caller));
        assert_int_equal(in_flight(), 0);
}

static void test_large_reply(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/large", "");
        send_request(w, 2, "/large", "");
        send_request(w, 3, "/hello", "");
        expect_reply(w, 3, 200, "hello world"); /* overtakes */
        expect_reply(w, 1, 200, NULL);
        expect_reply(w, 2, 200, NULL);
        assert_int_equal(the_worker.connections->n_sending, 0);
}

/* The error that stands for a reply too large comes also when the ring is full just then. */
static void test_reply_that_is_too_large(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/huge", "");
        expect_error(w, 1, ERROR_TOO_LARGE);
        send_request(w, 2, "/large", "");
        send_request(w, 3, "/huge", "");
        expect_error(w, 3, ERROR_TOO_LARGE);
        expect_reply(w, 2, 200, NULL);
}

static void test_cancelled_gets_no_reply(void **state) {
        struct world *w = *state;
        struct frame cancel = { .kind = FRAME_CANCEL, .correlation = 1 };
        struct edge_message m;

        send_request(w, 1, "/sleeps", "");
        edge_send(w->caller, &cancel, NULL, 0, NULL);
        edge_flush(w->caller);
        turn(0);
        assert_int_equal(in_flight(), 1);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_int_equal(edge_receive(w->caller, &m), EDGE_E_EMPTY);
}

static void test_cancelled_sleeps_no_longer(void **state) {
        struct world *w = *state;
        struct frame cancel = { .kind = FRAME_CANCEL, .correlation = 1 };
        uint64_t end = clock_now_ns() + 30 * NS_PER_S;

        long_sleep = next_sleep = 0;
        send_request(w, 1, "/long", "");
        turn(0);
        assert_int_equal(in_flight(), 1);
        edge_send(w->caller, &cancel, NULL, 0, NULL);
        edge_flush(w->caller);
        while (in_flight() && clock_now_ns() < end)
                turn(1);
        assert_int_equal(in_flight(), 0);
        assert_int_equal(long_sleep, SOCLE_E_CANCELLED);
        assert_int_equal(next_sleep, SOCLE_E_CANCELLED);
        assert_int_equal(wait_timeout_ms(), -1);
}

/* A loop around socle_sleep() that forgets to look at what it returns must not keep others from running. */
static void test_cancelled_yields(void **state) {
        struct world *w = *state;
        struct frame cancel = { .kind = FRAME_CANCEL, .correlation = 1 };

        send_request(w, 1, "/long", "");
        turn(0);
        edge_send(w->caller, &cancel, NULL, 0, NULL);
        edge_flush(w->caller);
        turn(0); /* is told */
        wait_turn();
        assert_int_equal(in_flight(), 1); /* in its second sleep */
        while (in_flight())
                turn(wait_timeout_ms());
}

static void test_death_of_the_caller_ends_its_sleep(void **state) {
        struct world *w = *state;
        uint64_t end = clock_now_ns() + 30 * NS_PER_S;

        long_sleep = 0;
        send_request(w, 1, "/long", "");
        turn(0);
        w->caller = edge_free(w->caller);
        while (in_flight() && clock_now_ns() < end)
                turn(1);
        assert_int_equal(long_sleep, SOCLE_E_CANCELLED);
}

/* Methods ------------------------------------------------------------------------------------------------------------- */

static void send_call(struct world *w, struct frame frame, const void *data, uint32_t size) {
        if (!frame.kind)
                frame.kind = FRAME_REQUEST;
        assert_int_equal(edge_send(w->caller, &frame, data, size, NULL), 0);
        assert_int_equal(edge_flush(w->caller), 0);
}

static void expect_result(struct world *w, uint64_t correlation, const char *bytes, uint32_t size) {
        struct edge_message m;

        take_answer(w, &m);
        assert_int_equal(m.frame.kind, FRAME_REPLY);
        assert_int_equal(m.frame.correlation, correlation);
        assert_int_equal(m.size, size);
        assert_memory_equal(m.payload, bytes, size);
}

static void test_methods(void **state) {
        struct world *w = *state;
        uint64_t begun;

        send_call(w, (struct frame){ .method = 1, .correlation = 1 }, "\xa2hi", 3);
        expect_result(w, 1, "\xa2hi", 3);
        assert_string_equal(the_worker.start.page->request, "kv.echo");
        send_call(w, (struct frame){ .method = 1, .correlation = 2 }, NULL, 0);
        expect_result(w, 2, "\xa3nil", 4);
        assert_true(edge_peer_accepted(w->caller) == edge_sent_position(w->caller));
        begun = edge_peer_accepted(w->caller);
        send_call(w, (struct frame){ .method = 4, .correlation = 3 }, NULL, 0);
        expect_error(w, 3, ERROR_DENIED);
        send_call(w, (struct frame){ .method = 5, .correlation = 4 }, NULL, 0);
        expect_error(w, 4, ERROR_NO_METHOD);
        send_call(w, (struct frame){ .method = 6, .correlation = 5 }, NULL, 0);
        expect_error(w, 5, ERROR_NO_METHOD);
        send_call(w, (struct frame){ .method = UINT16_MAX, .correlation = 6 }, NULL, 0);
        expect_error(w, 6, ERROR_NO_METHOD);
        assert_true(edge_peer_accepted(w->caller) == begun);
        send_call(w, (struct frame){ .method = 1, .correlation = 7 }, "\xa2h", 2);
        expect_error(w, 7, ERROR_BAD_REQUEST);
        send_call(w, (struct frame){ .method = 1, .correlation = 8 }, "\xc0\xc0", 2);
        expect_error(w, 8, ERROR_BAD_REQUEST);
        assert_int_equal(in_flight(), 0);
}

static void test_errors_of_methods(void **state) {
        static const int codes[][2] = { { SOCLE_E_NOT_FOUND, SOCLE_E_NOT_FOUND },
                                        { SOCLE_E_PEER_DIED, SOCLE_E_PEER_DIED },
                                        /* a caller would take these for "not begun" */
                                        { SOCLE_E_NOT_STARTED, SOCLE_E_UNAVAILABLE },
                                        { SOCLE_E_MOVED, SOCLE_E_UNAVAILABLE },
                                        { SOCLE_E_OVERLOADED, SOCLE_E_UNAVAILABLE },
                                        { SOCLE_E_BUSY, SOCLE_E_UNAVAILABLE },
                                        { -ENOENT, SOCLE_E_INTERNAL },
                                        { 4711, SOCLE_E_INTERNAL } };
        struct world *w = *state;
        struct edge_message m;

        for (size_t i = 0; i < N_ELEMENTS(codes); i++) {
                code = codes[i][0];
                send_call(w, (struct frame){ .method = 2, .correlation = i }, NULL, 0);
                expect_error(w, i, codes[i][1]);
        }
        /* the text of socle_fail() goes along */
        send_call(w, (struct frame){ .method = 1, .correlation = 99 }, "\x05", 1);
        take_answer(w, &m);
        assert_int_equal(m.frame.error, SOCLE_E_BAD_REQUEST);
        assert_int_equal(m.size, 8);
        assert_memory_equal(m.payload, "\xa7no text", 8);
}

static void test_cast_is_not_answered(void **state) {
        struct world *w = *state;

        n_echoed = 0;
        send_call(w, (struct frame){ .kind = FRAME_CAST, .method = 1, .correlation = 1 }, "\xa2hi", 3);
        send_call(w, (struct frame){ .kind = FRAME_CAST, .method = 4, .correlation = 2 }, NULL, 0);
        send_call(w, (struct frame){ .kind = FRAME_CAST, .correlation = 3 }, NULL, 0);
        send_call(w, (struct frame){ .method = 1, .correlation = 4 }, NULL, 0);
        expect_result(w, 4, "\xa3nil", 4);
        assert_int_equal(n_echoed, 2);
}

/* Nobody waits for a result after the deadline. */
static void test_deadline_passes_while_it_runs(void **state) {
        struct world *w = *state;

        send_call(w, (struct frame){ .method = 3, .correlation = 1, .deadline = clock_now_ns() + 10 * NS_PER_MS }, NULL, 0);
        expect_error(w, 1, ERROR_TIMEOUT);
}

/* Whoever does not take his answers is given no more work to be done for him. */
static void test_caller_that_does_not_read(void **state) {
        struct world *w = *state;
        uint64_t sent = 0, answered = 0;
        struct frame frame = { .kind = FRAME_REQUEST, .method = 1 };
        struct edge_message m;

        for (int idle = 0; idle < 50;) {
                frame.correlation = sent;
                if (edge_send(w->caller, &frame, NULL, 0, NULL) == 0) {
                        sent++;
                        idle = 0;
                } else {
                        idle++;
                }
                edge_flush(w->caller);
                turn(0);
        }
        assert_true(the_worker.connections->n_sending > 100);
        assert_true(the_worker.connections->n_sending < 400);
        assert_false(turn(0)); /* nor does it keep the worker awake */
        while (answered < sent) {
                take_answer(w, &m);
                assert_int_equal(m.frame.correlation, answered++);
        }
}

/* Connections --------------------------------------------------------------------------------------------------------- */

/* A caller that dies takes its connection along, but only when its last request has ended. */
static void test_caller_dies(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/sleeps", "");
        turn(0);
        w->caller = edge_free(w->caller);
        turn(0);
        /* Its sleep is cancelled, and may have ended with this very turn. */
        assert_true(!the_worker.connections == !in_flight());
        assert_true(!the_worker.connections || !the_worker.connections->edge);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_null(the_worker.connections);
}

static void test_caller_dies_with_replies_queued(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/large", "");
        turn(0);
        assert_int_equal(the_worker.connections->n_sending, 1);
        w->caller = edge_free(w->caller);
        turn(0);
        assert_null(the_worker.connections);
}

/* Nothing more is read of him, so that his end is not found where it is read. */
static void test_caller_dies_stalled(void **state) {
        struct world *w = *state;
        uint64_t id = 0;

        while (the_worker.connections->n_sending < 256) {
                send_request(w, ++id, "/large", "");
                turn(0);
        }
        send_request(w, ++id, "/hello", "");
        turn(0);
        assert_int_equal(the_worker.connections->n_sending, 256);
        w->caller = edge_free(w->caller);
        turn(0);
        assert_null(the_worker.connections);
}

static void test_a_cast_outlives_its_edge(void **state) {
        struct world *w = *state;
        struct frame cast = { .kind = FRAME_CAST, .method = 3, .correlation = 1 };

        long_result = -1;
        assert_int_equal(edge_send(w->caller, &cast, "\xc0", 1, NULL), 0);
        assert_int_equal(edge_flush(w->caller), 0);
        turn(0);
        assert_int_equal(in_flight(), 1);
        connection_end(7);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_int_equal(long_result, 0);
        assert_null(the_worker.connections);
}

static void test_who_offers_again_has_one_edge(void **state) {
        struct world *w = *state;
        struct edge *first = TAKE_PTR(w->caller);
        struct edge_message m;

        offer(w, 7);
        turn(0);
        assert_null(the_worker.connections->next);
        edge_on_bell(first);
        assert_int_equal(edge_receive(first, &m), EDGE_E_CLOSED);
        edge_free(first);
}

static void test_the_end_of_an_edge_while_busy(void **state) {
        struct world *w = *state;
        struct edge_message m;

        send_request(w, 1, "/sleeps", "");
        send_request(w, 2, "/large", "");
        turn(0);
        connection_end(7);
        connection_end(7);
        connection_end(99);
        assert_non_null(the_worker.connections);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_null(the_worker.connections);
        edge_on_bell(w->caller);
        while (edge_receive(w->caller, &m) != EDGE_E_CLOSED)
                ;
}

static void test_draining_takes_no_edge(void **state) {
        struct world *w = *state;
        struct control_record record;
        int pipes[2];

        the_worker.draining = true;
        assert_int_equal(fd_pipe(pipes), 0);
        connection_offer(&OFFER(8), memfd_new("x", 0), pipes[0]);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_REJECT);
        assert_int_equal(record.EDGE_REJECT.error, ERROR_MOVED);
        assert_int_equal(write(pipes[1], "", 1), -1); /* nobody reads it */
        close(pipes[1]);
}

static void test_bad_offer(void **state) {
        struct world *w = *state;
        struct control_record record;
        int pipes[2];

        assert_int_equal(fd_pipe(pipes), 0);
        connection_offer(&OFFER(8), memfd_new("x", 4096), pipes[0]);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_POISONED);
        assert_int_equal(record.EDGE_POISONED.peer, 8);
        assert_int_equal(record.EDGE_POISONED.reason, VIOLATION_MEMORY);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_REJECT);
        assert_int_equal(record.EDGE_REJECT.edge, 8);
        assert_int_equal(record.EDGE_REJECT.error, ERROR_BAD_REQUEST);
        assert_null(the_worker.connections->next);
        close(pipes[1]);
}

/* The offer fails after its bell was watched, and the peer keeps a copy of the bell: it must ring for nobody. */
static void test_failed_offer_is_not_watched(void **state) {
        struct world *w = *state;
        struct epoll_event event;
        struct edge *other;
        int fds[2], kept;

        while (CONTROL_SEND(w->link[0], LEVEL, 0, NULL, 0, .level = 1) == 0)
                ;
        assert_int_equal(edge_new(&other, &LIMITS), 0);
        edge_local_fds(other, fds);
        kept = fd_dup(fds[1]);
        connection_offer(&OFFER(8), fd_dup(fds[0]), fd_dup(fds[1]));
        assert_int_equal(the_worker.connections->id, 7);
        assert_null(the_worker.connections->next);
        while (epoll_wait(the_worker.epoll, &event, 1, 0) > 0)
                assert_ptr_equal(event.data.ptr, the_worker.connections);
        edge_free(other); /* a hang-up of the bell would be an event */
        assert_int_equal(epoll_wait(the_worker.epoll, &event, 1, 0), 0);
        fd_close(kept);
}

static void test_poison_closes(void **state) {
        struct world *w = *state;
        struct control_record record;
        struct edge_side *side;
        int fds[2], pipes[2];
        void *map;

        /* a peer made by hand that lies about its tail */
        fds[0] = memfd_new("liar", EDGE_DATA_OFFSET + 4096);
        assert_int_equal(memfd_map_rw(fds[0], EDGE_DATA_OFFSET + 4096, &map), 0);
        side = map;
        side->magic = EDGE_MAGIC;
        side->version = EDGE_VERSION;
        side->ring_size = 4096;
        assert_int_equal(memfd_seal(fds[0], MEMFD_SEALS_BUS), 0);
        assert_int_equal(fd_pipe(pipes), 0);
        connection_offer(&OFFER(9), fds[0], pipes[0]);
        assert_int_equal(the_worker.connections->id, 9);
        shared_store64(&side->tail, 1 << 20);
        turn(0);
        assert_int_equal(the_worker.connections->id, 7);
        do
                assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        while (record.header.kind != CONTROL_KIND_EDGE_POISONED && (control_record_deinit(&record), true));
        assert_int_equal(record.EDGE_POISONED.peer, 9);
        assert_int_equal(record.EDGE_POISONED.reason, VIOLATION_TAIL);
        /* and its neighbour is none the worse */
        send_request(w, 1, "/hello", "");
        expect_reply(w, 1, 200, "hello world");
        munmap(map, EDGE_DATA_OFFSET + 4096);
        close(pipes[1]);
}

/* Waiting ------------------------------------------------------------------------------------------------------------- */

static void sleep_for(void *arg) {
        uint32_t *ms = arg;

        assert_int_equal(socle_sleep(*ms), 0);
        *ms = UINT32_MAX - 1;
}

/* Hours lie between them: whatever passed while they were made changes nothing. */
static void test_sleepers_wake_in_order(void **state) {
        static const uint32_t hours[] = { 3, 1, 2, 0 };
        uint64_t hour_ns = 3600 * NS_PER_S, begin = clock_now_ns();
        uint32_t times[N_ELEMENTS(hours)];

        assert_int_equal(socle_sleep(1), -EDEADLK);
        assert_int_equal(socle_offload(in_thread, NULL), -EDEADLK);
        for (size_t i = 0; i < N_ELEMENTS(times); i++) {
                times[i] = hours[i] * 3600000;
                worker_resume(coroutine_new(sleep_for, &times[i]));
        }
        for (uint32_t passed = 0; passed <= 3; passed++) {
                deadlines_run(wait_deadlines(), begin + passed * hour_ns + hour_ns / 2);
                for (size_t i = 0; i < N_ELEMENTS(times); i++)
                        assert_int_equal(times[i] == UINT32_MAX - 1, hours[i] <= passed);
        }
}

/* More milliseconds than epoll can count are many, not "for ever" and not "at once". */
static void test_very_long_sleep(void **state) {
        static uint32_t ms = UINT32_MAX;

        worker_resume(coroutine_new(sleep_for, &ms));
        assert_int_equal(wait_timeout_ms(), INT_MAX);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_request),
                TEST(test_answers_of_the_library),
                TEST(test_many_in_one_turn),
                TEST(test_waiting_requests_overlap),
                TEST(test_offload),
                TEST(test_overload),
                TEST(test_refusals),
                TEST(test_large_reply),
                TEST(test_reply_that_is_too_large),
                TEST(test_cancelled_gets_no_reply),
                TEST(test_cancelled_sleeps_no_longer),
                TEST(test_cancelled_yields),
                TEST(test_death_of_the_caller_ends_its_sleep),
                TEST(test_methods),
                TEST(test_errors_of_methods),
                TEST(test_cast_is_not_answered),
                TEST(test_deadline_passes_while_it_runs),
                TEST(test_caller_that_does_not_read),
                TEST(test_caller_dies),
                TEST(test_caller_dies_with_replies_queued),
                TEST(test_caller_dies_stalled),
                TEST(test_a_cast_outlives_its_edge),
                TEST(test_who_offers_again_has_one_edge),
                TEST(test_the_end_of_an_edge_while_busy),
                TEST(test_draining_takes_no_edge),
                TEST(test_bad_offer),
                TEST(test_failed_offer_is_not_watched),
                TEST(test_poison_closes),
                TEST(test_sleepers_wake_in_order),
                TEST(test_very_long_sleep), /* the last: its sleeper stays */
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
