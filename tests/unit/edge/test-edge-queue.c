/* SPDX-License-Identifier: Apache-2.0
 *
 * What does not fit into an honest peer's ring: queued, held back, cancelled, told.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "pair.h"

/* Without somebody to wait for room it is all or nothing. */
static void test_full_without_outgoing(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_CAST };
        uint8_t payload[RECORD_MAX + 1] = { 0 };
        struct edge_message m;
        uint64_t before;
        int n = 0;

        assert_int_equal(edge_send(p->a, &frame, payload, sizeof(payload), NULL), EDGE_E_FULL);
        assert_int_equal(edge_sent_position(p->a), 0);
        while (edge_send(p->a, &frame, payload, 100, NULL) == 0)
                n++;
        before = edge_sent_position(p->a);
        assert_int_equal(n, RING / 176);
        assert_int_equal(edge_send(p->a, &frame, payload, 100, NULL), EDGE_E_FULL);
        assert_int_equal(edge_sent_position(p->a), before);
        assert_int_equal(edge_flush(p->a), 0);
        for (; n; n--)
                assert_int_equal(edge_receive(p->b, &m), 0);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_int_equal(edge_send(p->a, &frame, payload, 100, NULL), 0);
}

#define QUEUED 50

/* What does not fit is queued, arrives in order, and is told once. */
static void test_back_pressure(void **state) {
        struct pair *p = *state;
        struct edge_outgoing outs[QUEUED] = { 0 };
        uint8_t payload[RECORD_MAX];
        struct edge_message m;
        int n_sent = 0, n_queued = 0;

        pair_fill(payload, sizeof(payload), 1);
        for (uint32_t i = 0; i < QUEUED; i++) {
                struct frame frame = { .kind = FRAME_CAST, .correlation = i };
                int r;

                outs[i] = (struct edge_outgoing){ .on_sent = pair_count_sent, .userdata = &n_sent };
                r = edge_send(p->a, &frame, payload, sizeof(payload), &outs[i]);
                n_queued += r == EDGE_E_FULL;
        }
        assert_int_equal(n_queued, QUEUED - RING / (RECORD_MAX + FRAME_SIZE));
        assert_false(edge_is_idle(p->a));
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST }, NULL, 0, NULL), EDGE_E_FULL);
        for (uint32_t i = 0; i < QUEUED; i++) {
                pair_take(p->a, p->b, &m);
                assert_int_equal(m.frame.correlation, i);
                pair_assert_filled(&m, sizeof(payload), 1);
        }
        pair_on_events(p->a);
        assert_int_equal(n_sent, n_queued);
        assert_true(edge_is_idle(p->a));
}

/* A large message does not block a small one behind it. */
static void test_small_passes_large(void **state) {
        struct pair *p = *state;
        struct edge_outgoing large = { .on_sent = pair_count_sent }, small = { .on_sent = pair_count_sent };
        _cleanup_free_ uint8_t *payload = calloc(1, 1 << 20);
        struct edge_message m;
        int n = 0;

        large.userdata = small.userdata = &n;
        pair_fill(payload, 1 << 20, 3);
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 1 }, payload, 1 << 20, &large), EDGE_E_FULL);
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 2 }, "x", 1, &small), EDGE_E_FULL);
        pair_take(p->a, p->b, &m);
        assert_int_equal(m.frame.correlation, 2);
        assert_int_equal(n, 1);
        pair_take(p->a, p->b, &m);
        assert_int_equal(m.frame.correlation, 1);
        pair_assert_filled(&m, 1 << 20, 3);
        pair_on_events(p->a);
        assert_int_equal(n, 2);
}

/* Many large ones at once: the receiver's limit on unfinished messages is the sender's too, so an honest sender never breaks it. */
static void test_large_ones_are_held_back(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 64 << 10, .max_partial = 128 << 10 };
        struct edge_outgoing outs[20] = { 0 };
        _cleanup_free_ uint8_t *payload = calloc(1, 64 << 10);
        bool seen[20] = { false };
        struct edge_message m;
        struct edge *a, *b;
        int n = 0;

        edges_join(&a, &b, &limits);
        pair_fill(payload, 64 << 10, 9);
        for (uint32_t i = 0; i < N_ELEMENTS(outs); i++) {
                outs[i] = (struct edge_outgoing){ .on_sent = pair_count_sent, .userdata = &n };
                assert_int_equal(edge_send(a, &(struct frame){ .kind = FRAME_CAST, .correlation = i }, payload, 64 << 10, &outs[i]),
                                 EDGE_E_FULL);
        }
        edge_cancel(&outs[5]);
        edge_cancel(&outs[0]);
        for (uint32_t i = 2; i < N_ELEMENTS(outs); i++) {
                pair_take(a, b, &m);
                assert_false(seen[m.frame.correlation]);
                seen[m.frame.correlation] = true;
                pair_assert_filled(&m, 64 << 10, 9);
        }
        assert_false(seen[0] || seen[5]);
        pair_on_events(a);
        assert_int_equal(n, N_ELEMENTS(outs) - 2);
        assert_int_equal(edge_receive(b, &m), EDGE_E_EMPTY);
        assert_true(edge_is_idle(a) && edge_is_idle(b));
        edge_free(a);
        edge_free(b);
}

/* max-partial below max-message would forbid what max-message allows. */
static void test_partial_limit_covers_a_message(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 64 << 10, .max_partial = 1 };
        struct edge *a, *b;

        edges_join(&a, &b, &limits);
        pair_round_trip(a, b, 64 << 10, 1);
        edge_free(a);
        edge_free(b);
}

static void must_not_be_called(struct edge_outgoing *out, int result) {
        fail_msg("on_sent of a cancelled message");
}

static void test_cancel_before_it_began(void **state) {
        struct pair *p = *state;
        struct edge_outgoing first = { 0 }, out = { .on_sent = must_not_be_called };
        uint8_t payload[2 * RING] = { 0 };
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 1 }, payload, sizeof(payload), &first),
                         EDGE_E_FULL);
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 2 }, "x", 1, &out), EDGE_E_FULL);
        edge_cancel(&out);
        edge_cancel(&out); /* again: nothing */
        pair_take(p->a, p->b, &m);
        assert_int_equal(m.frame.correlation, 1);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_true(edge_is_idle(p->a));
}

/* What has begun is ended for the peer, which frees its part. */
static void test_cancel_halfway(void **state) {
        struct pair *p = *state;
        struct edge_outgoing out = { .on_sent = must_not_be_called };
        uint8_t payload[2 * RING] = { 0 };
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 1 }, payload, sizeof(payload), &out),
                         EDGE_E_FULL);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_false(edge_is_idle(p->b));
        edge_cancel(&out);
        memset(payload, 0xff, sizeof(payload)); /* is the caller's again */
        pair_on_events(p->a);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_true(edge_is_idle(p->a));
        assert_true(edge_is_idle(p->b));
        pair_round_trip(p->a, p->b, 5000, 1);
}

/* The cancellation of something whole is a message like others. */
static void test_cancel_of_a_request_is_delivered(void **state) {
        struct pair *p = *state;
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CANCEL, .correlation = 8 }, NULL, 0, NULL), 0);
        assert_int_equal(edge_flush(p->a), 0);
        assert_int_equal(edge_receive(p->b, &m), 0);
        assert_int_equal(m.frame.kind, FRAME_CANCEL);
        assert_int_equal(m.frame.correlation, 8);
}

/* Closing tells every queued message; what is told may cancel others and free itself. */
static struct edge_outgoing *others[3];

static void closed_and_cancels_others(struct edge_outgoing *out, int result) {
        assert_int_equal(result, EDGE_E_CLOSED);
        for (size_t i = 0; i < N_ELEMENTS(others); i++) {
                if (others[i] && others[i] != out)
                        edge_cancel(others[i]);
                free(others[i]);
                others[i] = NULL;
        }
}

static void test_free_tells_the_queue(void **state) {
        struct pair *p = *state;
        uint8_t payload[2 * RING] = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(others); i++) {
                others[i] = calloc(1, sizeof(**others));
                others[i]->on_sent = closed_and_cancels_others;
                assert_int_equal(
                        edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = i }, payload, sizeof(payload), others[i]),
                        EDGE_E_FULL);
        }
        p->a = edge_free(p->a);
        assert_null(others[0]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PAIR_TEST(test_full_without_outgoing),
                PAIR_TEST(test_back_pressure),
                PAIR_TEST(test_small_passes_large),
                cmocka_unit_test(test_large_ones_are_held_back),
                cmocka_unit_test(test_partial_limit_covers_a_message),
                PAIR_TEST(test_cancel_before_it_began),
                PAIR_TEST(test_cancel_halfway),
                PAIR_TEST(test_cancel_of_a_request_is_delivered),
                PAIR_TEST(test_free_tells_the_queue),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
