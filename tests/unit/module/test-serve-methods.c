/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of a worker's methods, and casts.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "serve-fixture.h"

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
                returned_code = codes[i][0];
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

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_methods),
                TEST(test_errors_of_methods),
                TEST(test_cast_is_not_answered),
                TEST(test_deadline_passes_while_it_runs),
                TEST(test_caller_that_does_not_read),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
