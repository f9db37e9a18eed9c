/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that a worker has: how they are answered, refused, cancelled, and how they sleep.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/shared.h"
#include "serve-fixture.h"

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

/* Waiting ------------------------------------------------------------------------------------------------------------- */

static void nothing(void *arg) {
}

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
        assert_int_equal(socle_offload(nothing, NULL), -EDEADLK);
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
                TEST(test_sleepers_wake_in_order),
                TEST(test_very_long_sleep), /* the last: its sleeper stays */
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
