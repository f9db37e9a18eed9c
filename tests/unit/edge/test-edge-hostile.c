/* SPDX-License-Identifier: Apache-2.0
 *
 * An edge whose peer lies when it sends: every lie poisons it with a reason, none costs
 * more than the edge.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/shared.h"

static void test_tail(void **state) {
        static const uint64_t tails[] = { RING + 16, RING * 2, 1, 8, 17, UINT64_MAX, UINT64_MAX - 15, 1ull << 63, 1ull << 32 };

        for (size_t i = 0; i < N_ELEMENTS(tails); i++) {
                struct liar l;

                liar_open(&l, &LIAR_LIMITS);
                liar_publish(&l, tails[i]);
                liar_expect_poison(&l, "tail");
                liar_close(&l);
        }
}

static void test_tail_backwards(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        uint64_t at;

        at = liar_put(l, 0, &(struct frame){ .kind = FRAME_CAST }, NULL, 0);
        liar_publish(l, at);
        assert_int_equal(edge_receive(l->victim, &m), 0);
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_EMPTY);
        liar_publish(l, at - 16);
        assert_false(edge_arm(l->victim));
        liar_expect_poison(l, "tail");
}

static void test_headers(void **state) {
        static const struct {
                struct frame frame;
                uint64_t position; /* where the record lies */
                uint64_t tail;     /* behind its position */
                const char *reason;
        } cases[] = {
                { { .kind = FRAME_CAST, .length = 1 }, 0, 64, "header" },
                { { .kind = FRAME_CAST, .length = FRAME_SIZE - 1 }, 0, 64, "header" },
                { { .kind = FRAME_CAST, .length = FRAME_SIZE }, 0, 48, "header" },
                { { .kind = FRAME_CAST, .length = FRAME_SIZE }, 0, 16, "header" },
                { { .kind = FRAME_CAST, .length = FRAME_SIZE + 1 }, 0, 64, "header" },
                { { .kind = FRAME_CAST, .length = FRAME_SIZE + 100 }, 0, FRAME_SIZE + 96, "header" },
                { { .kind = FRAME_CAST, .length = UINT32_MAX }, 0, RING, "header" },
                { { .kind = FRAME_CAST, .length = RING }, 0, RING, "quarter" },
                { { .kind = FRAME_CAST, .length = RING / 4 + 1 }, 0, RING, "quarter" },
                { { .kind = FRAME_N_KINDS, .length = FRAME_SIZE }, 0, 64, "header" },
                { { .kind = 255, .length = FRAME_SIZE }, 0, 64, "header" },
                { { .kind = FRAME_CAST, .flags = 0x20, .length = FRAME_SIZE }, 0, 64, "header" },
                { { .kind = FRAME_CAST, .reserved = 1, .length = FRAME_SIZE }, 0, 64, "header" },
                { { .kind = FRAME_PAD, .length = 16 }, 0, 16, "pad" },
                { { .kind = FRAME_PAD, .length = RING - 16 }, 0, RING, "pad" },
                { { .kind = FRAME_PAD, .length = RING }, 0, RING - 16, "pad" },
                { { .kind = FRAME_PAD, .length = UINT32_MAX }, 0, RING, "pad" },
                /* around the end of the ring */
                { { .kind = FRAME_CAST, .length = FRAME_SIZE + 64 }, RING - 64, 128, "header" },
                { { .kind = FRAME_CAST, .length = FRAME_SIZE }, RING - 32, 64, "header" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct edge_message m;
                struct liar l;
                uint64_t at = 0;

                liar_open(&l, &LIAR_LIMITS);
                /* a way to the position that is as it must be */
                while (at < cases[i].position) {
                        uint64_t left = cases[i].position - at;
                        uint32_t n = (uint32_t)(left >= 256 ? 128 : left > 128 ? left - 128 : left) - FRAME_SIZE;

                        at = liar_put(&l, at, &(struct frame){ .kind = FRAME_CAST }, l.data, n);
                        liar_publish(&l, at);
                        assert_int_equal(edge_receive(l.victim, &m), 0);
                }
                assert_int_equal(at, cases[i].position);
                liar_put(&l, at, &cases[i].frame, NULL, 0);
                liar_publish(&l, at + cases[i].tail);
                liar_expect_poison(&l, cases[i].reason);
                liar_close(&l);
        }
}

/* It is compared with where we are, and no number leads anywhere else. */
static void test_where_it_says_that_it_sleeps(void **state) {
        static const struct {
                uint32_t said;
                int taken;
        } cases[] = { { 0, -1 }, { 1, 0 }, { 4711, 4710 }, { INT32_MAX, INT32_MAX - 1 }, { 0x80000000u, -1 }, { UINT32_MAX, -1 } };
        struct liar *l = *state;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                shared_store32(&l->side->cpu, cases[i].said);
                assert_int_equal(edge_peer_cpu(l->victim), cases[i].taken);
        }
        assert_null(edge_poison_reason(l->victim));
}

static void test_header_of_zeroes(void **state) {
        struct liar *l = *state;

        liar_publish(l, 64);
        liar_expect_poison(l, "pad");
}

/* The bytes may change at any time: what counts is what was copied. */
static void test_payload_is_private(void **state) {
        struct liar *l = *state;
        struct edge_message m;

        liar_publish(l, liar_put(l, 0, &(struct frame){ .kind = FRAME_CAST }, "good", 4));
        assert_int_equal(edge_receive(l->victim, &m), 0);
        memset(l->data, 0xff, RING);
        assert_memory_equal(m.payload, "good", 4);
        assert_int_equal(m.frame.kind, FRAME_CAST);
}

static void test_fragments(void **state) {
        enum { MORE = FRAME_MORE };
        static const struct {
                const struct {
                        uint8_t kind, flags;
                        uint64_t correlation;
                } records[4];
                uint32_t n;
                const char *reason;
        } cases[] = {
                { { { FRAME_DATA, 0, 1 } }, 1, "belongs to no message" },
                { { { FRAME_END, 0, 1 } }, 1, "belongs to no message" },
                { { { FRAME_CAST, MORE, 1 }, { FRAME_DATA, 0, 2 } }, 2, "belongs to no message" },
                { { { FRAME_CAST, MORE, 1 }, { FRAME_CAST, MORE, 1 } }, 2, "begins twice" },
                { { { FRAME_CAST, MORE, 1 }, { FRAME_REQUEST, MORE, 1 } }, 2, "begins twice" },
                { { { FRAME_CAST, MORE, 1 }, { FRAME_CANCEL, 0, 1 }, { FRAME_END, 0, 1 } }, 3, "belongs to no message" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct liar l;
                uint64_t at = 0;

                liar_open(&l, &LIAR_LIMITS);
                for (uint32_t k = 0; k < cases[i].n; k++) {
                        struct frame frame = { .kind = cases[i].records[k].kind,
                                               .flags = cases[i].records[k].flags,
                                               .correlation = cases[i].records[k].correlation };

                        at = liar_put(&l, at, &frame, "x", 1);
                }
                liar_publish(&l, at);
                liar_expect_poison(&l, cases[i].reason);
                liar_close(&l);
        }
}

/* Fragments of nothing are legal and come to nothing. */
static void test_empty_fragments(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        uint8_t *taken;
        uint64_t at;

        at = liar_put(l, 0, &(struct frame){ .kind = FRAME_CAST, .flags = FRAME_MORE, .correlation = 5 }, NULL, 0);
        at = liar_put(l, at, &(struct frame){ .kind = FRAME_DATA, .correlation = 5 }, NULL, 0);
        liar_publish(l, liar_put(l, at, &(struct frame){ .kind = FRAME_END, .correlation = 5 }, NULL, 0));
        assert_int_equal(edge_receive(l->victim, &m), 0);
        assert_int_equal(m.size, 0);
        assert_int_equal(m.frame.flags, 0);
        taken = edge_message_take(l->victim, &m);
        assert_non_null(taken);
        free(taken);
}

/* Puts fragments of so many messages in turn until the victim complains. */
static void flood(struct liar *l, uint32_t n, uint32_t n_messages, uint32_t size) {
        _cleanup_free_ uint8_t *bytes = calloc(1, size + 1);
        struct edge_message m;
        uint64_t at = 0;

        for (uint32_t i = 0; i < n; i++) {
                bool begins = i < n_messages;
                struct frame frame = { .kind = begins ? FRAME_CAST : FRAME_DATA,
                                       .flags = begins ? FRAME_MORE : 0,
                                       .correlation = i % n_messages };
                uint64_t left = RING - (at & (RING - 1)), need = (FRAME_SIZE + (uint64_t)size + 15) & ~UINT64_C(15);

                if (left < need) {
                        memcpy(l->data + (at & (RING - 1)), &(struct frame){ .kind = FRAME_PAD, .length = (uint32_t)left }, 16);
                        at += left;
                }
                at = liar_put(l, at, &frame, bytes, size);
                liar_publish(l, at);
                assert_int_equal(edge_receive(l->victim, &m), i == n - 1 ? EDGE_E_POISONED : EDGE_E_EMPTY);
        }
}

static void test_message_without_end(void **state) {
        struct liar *l = *state;

        flood(l, (64 << 10) / 512 + 1, 1, 512);
        liar_assert_poisoned(l, "max-message");
}

static void test_single_record_over_the_limit(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 100, .max_partial = 100 };
        uint8_t bytes[101] = { 0 };
        struct edge_message m;
        struct liar l;
        uint64_t at;

        liar_open(&l, &limits);
        at = liar_put(&l, 0, &(struct frame){ .kind = FRAME_CAST }, bytes, 100);
        liar_publish(&l, at);
        assert_int_equal(edge_receive(l.victim, &m), 0);
        liar_publish(&l, liar_put(&l, at, &(struct frame){ .kind = FRAME_CAST }, bytes, 101));
        liar_expect_poison(&l, "max-message");
        liar_close(&l);
}

static void test_too_many_bytes_unfinished(void **state) {
        struct liar *l = *state;

        flood(l, (128 << 10) / 512 + 1, 4, 512);
        liar_assert_poisoned(l, "too many bytes");
}

static void test_too_many_messages_unfinished(void **state) {
        struct liar *l = *state;

        flood(l, 65, 65, 1);
        liar_assert_poisoned(l, "too many are unfinished");
}

/* A peer that writes as fast as it is read, and only what comes to nothing. */
struct writer {
        struct liar *liar;
        _Atomic bool stop;
};

static void *write_for_ever(void *arg) {
        struct writer *w = arg;

        while (!w->stop)
                liar_publish(w->liar, shared_load64(&w->liar->victim_side->head) + RING);
        return NULL;
}

static void test_work_of_one_call_is_bounded(void **state) {
        struct writer w = { .liar = *state };
        struct edge_message m;
        pthread_t thread;
        uint64_t at = 0;

        while (at < RING) {
                at = liar_put(w.liar, at, &(struct frame){ .kind = FRAME_CAST, .flags = FRAME_MORE, .correlation = 1 }, NULL, 0);
                at = liar_put(w.liar, at, &(struct frame){ .kind = FRAME_CANCEL, .correlation = 1 }, NULL, 0);
        }
        liar_publish(w.liar, at);
        assert_int_equal(pthread_create(&thread, NULL, write_for_ever, &w), 0);
        for (int i = 0; i < 10; i++) {
                uint64_t before = shared_load64(&w.liar->victim_side->head);

                assert_int_equal(edge_receive(w.liar->victim, &m), EDGE_E_EMPTY);
                assert_true(shared_load64(&w.liar->victim_side->head) - before <= RING + RING / 4);
        }
        w.stop = true;
        pthread_join(thread, NULL);
        assert_null(edge_poison_reason(w.liar->victim));
}

/* The peer chooses the size of its ring, but not how long we read what comes to nothing; and a message now and then buys
 * it no more. */
static void test_work_does_not_grow_with_the_ring(void **state) {
        struct edge_limits limits = { .ring_size = 1 << 20, .max_message = 64 << 10, .max_partial = 128 << 10 };
        struct edge_message m;
        unsigned n = 0;
        struct liar l;
        uint64_t at = 0;

        liar_open(&l, &limits);
        at = liar_put(&l, at, &(struct frame){ .kind = FRAME_CAST, .flags = FRAME_MORE, .correlation = 1 }, NULL, 0);
        while (at < (1 << 20))
                at = liar_put(&l, at, &(struct frame){ .kind = at % 4096 ? FRAME_DATA : FRAME_CAST, .correlation = 1 }, NULL, 0);
        liar_publish(&l, at);
        while (edge_receive(l.victim, &m) == 0)
                n++;
        assert_int_equal(n, 16);
        assert_in_range(shared_load64(&l.victim_side->head), 64 << 10, 70 << 10);
        assert_false(edge_arm(l.victim));
        while (!edge_arm(l.victim))
                while (edge_receive(l.victim, &m) == 0)
                        n++;
        assert_int_equal(n, 255);
        liar_close(&l);
}

/* After a ring's worth the caller is told that there is more, and nobody sleeps. */
static void test_rest_is_not_slept_over(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        uint64_t at = 0;

        for (int round = 0; round < 3; round++) {
                for (uint64_t end = at + RING; at < end;) {
                        at = liar_put(l, at, &(struct frame){ .kind = FRAME_CAST, .flags = FRAME_MORE, .correlation = 1 }, NULL, 0);
                        at = liar_put(l, at, &(struct frame){ .kind = FRAME_CANCEL, .correlation = 1 }, NULL, 0);
                }
                liar_publish(l, at);
                assert_int_equal(edge_receive(l->victim, &m), EDGE_E_EMPTY);
        }
        assert_true(edge_arm(l->victim));
        liar_publish(l, liar_put(l, at, &(struct frame){ .kind = FRAME_CAST }, NULL, 0));
        assert_false(edge_arm(l->victim));
        assert_int_equal(edge_receive(l->victim, &m), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tail),
                LIAR_TEST(test_tail_backwards),
                LIAR_TEST(test_where_it_says_that_it_sleeps),
                cmocka_unit_test(test_headers),
                LIAR_TEST(test_header_of_zeroes),
                LIAR_TEST(test_payload_is_private),
                cmocka_unit_test(test_fragments),
                LIAR_TEST(test_empty_fragments),
                LIAR_TEST(test_message_without_end),
                cmocka_unit_test(test_single_record_over_the_limit),
                LIAR_TEST(test_too_many_bytes_unfinished),
                LIAR_TEST(test_too_many_messages_unfinished),
                LIAR_TEST(test_work_of_one_call_is_bounded),
                cmocka_unit_test(test_work_does_not_grow_with_the_ring),
                LIAR_TEST(test_rest_is_not_slept_over),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
