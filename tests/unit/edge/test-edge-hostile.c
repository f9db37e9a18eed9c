/* SPDX-License-Identifier: Apache-2.0
 *
 * An edge whose peer lies: every lie poisons it with a reason, none costs more
 * than the edge. What sleeps and wakes is tested here too, for only a peer made
 * by hand can be looked at between two steps.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define LIMITS ((struct edge_limits){ .ring_size = RING, .max_message = 64 << 10, .max_partial = 128 << 10 })

static int setup(void **state) {
        static struct liar liar;

        liar_open(&liar, &LIMITS);
        *state = &liar;
        return 0;
}

static int teardown(void **state) {
        liar_close(*state);
        return 0;
}

static void assert_poisoned(struct liar *l, const char *reason) {
        struct frame frame = { .kind = FRAME_CAST };
        struct edge_message m;

        assert_non_null(edge_poison_reason(l->victim));
        if (!strstr(edge_poison_reason(l->victim), reason))
                fail_msg("\"%s\" is no word of \"%s\"", edge_poison_reason(l->victim), reason);
        /* and for ever */
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_POISONED);
        assert_int_equal(edge_send(l->victim, &frame, NULL, 0, NULL), EDGE_E_POISONED);
        assert_int_equal(edge_flush(l->victim), EDGE_E_POISONED);
        assert_int_equal(edge_on_bell(l->victim), EDGE_E_POISONED);
        assert_false(edge_arm(l->victim));
}

static void expect_poison(struct liar *l, const char *reason) {
        struct edge_message m;

        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_POISONED);
        assert_poisoned(l, reason);
}

/* Receiving ---------------------------------------------------------------------------------------------------------- */

static void test_tail(void **state) {
        static const uint64_t tails[] = { RING + 16, RING * 2, 1, 8, 17, UINT64_MAX, UINT64_MAX - 15, 1ull << 63, 1ull << 32 };

        for (size_t i = 0; i < N_ELEMENTS(tails); i++) {
                struct liar l;

                liar_open(&l, &LIMITS);
                liar_publish(&l, tails[i]);
                expect_poison(&l, "tail");
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
        expect_poison(l, "tail");
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

                liar_open(&l, &LIMITS);
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
                expect_poison(&l, cases[i].reason);
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
        expect_poison(l, "pad");
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

                liar_open(&l, &LIMITS);
                for (uint32_t k = 0; k < cases[i].n; k++) {
                        struct frame frame = { .kind = cases[i].records[k].kind,
                                               .flags = cases[i].records[k].flags,
                                               .correlation = cases[i].records[k].correlation };

                        at = liar_put(&l, at, &frame, "x", 1);
                }
                liar_publish(&l, at);
                expect_poison(&l, cases[i].reason);
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
        assert_poisoned(l, "max-message");
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
        expect_poison(&l, "max-message");
        liar_close(&l);
}

static void test_too_many_bytes_unfinished(void **state) {
        struct liar *l = *state;

        flood(l, (128 << 10) / 512 + 1, 4, 512);
        assert_poisoned(l, "too many bytes");
}

static void test_too_many_messages_unfinished(void **state) {
        struct liar *l = *state;

        flood(l, 65, 65, 1);
        assert_poisoned(l, "too many are unfinished");
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

/* Sending ------------------------------------------------------------------------------------------------------------ */

static void test_credit(void **state) {
        static const uint64_t heads[] = { RING + 16, RING + 1, UINT64_MAX, 1ull << 63, 17, 15 };

        for (size_t i = 0; i < N_ELEMENTS(heads); i++) {
                struct frame frame = { .kind = FRAME_CAST };
                struct liar l;
                int r;

                liar_open(&l, &LIMITS);
                while (!edge_send(l.victim, &frame, NULL, 0, NULL))
                        ;
                assert_int_equal(edge_flush(l.victim), 0);
                shared_store64(&l.side->head, heads[i]);
                r = edge_send(l.victim, &frame, NULL, 0, NULL);
                assert_int_equal(r, EDGE_E_POISONED);
                assert_poisoned(&l, "consumed");
                liar_close(&l);
        }
}

/* Credit for what was written but not yet published is a lie too. */
static void test_credit_before_publishing(void **state) {
        struct liar *l = *state;
        struct frame frame = { .kind = FRAME_CAST };

        while (!edge_send(l->victim, &frame, NULL, 0, NULL))
                ;
        shared_store64(&l->side->head, RING);
        assert_int_equal(edge_send(l->victim, &frame, NULL, 0, NULL), EDGE_E_POISONED);
        assert_poisoned(l, "consumed");
}

static void test_credit_backwards(void **state) {
        struct liar *l = *state;
        struct frame frame = { .kind = FRAME_CAST };

        for (int lap = 0; lap < 2; lap++) {
                while (!edge_send(l->victim, &frame, NULL, 0, NULL))
                        ;
                assert_int_equal(edge_flush(l->victim), 0);
                shared_store64(&l->side->head, lap ? RING - 64 : RING);
        }
        assert_int_equal(edge_send(l->victim, &frame, NULL, 0, NULL), EDGE_E_POISONED);
        assert_poisoned(l, "consumed");
}

/* A queue that meets the lie when it goes on. */
static void test_credit_while_queued(void **state) {
        struct liar *l = *state;
        struct edge_outgoing out = { 0 };
        uint8_t payload[2 * RING] = { 0 };

        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, payload, sizeof(payload), &out), EDGE_E_FULL);
        shared_store64(&l->side->head, UINT64_MAX);
        assert_int_equal(edge_on_bell(l->victim), EDGE_E_POISONED);
        assert_poisoned(l, "consumed");
        edge_cancel(&out);
}

/* Nothing but what was meant is published: rests of records are zeroes, also in used memory. */
static void test_published_padding_is_zero(void **state) {
        struct liar *l = *state;
        uint8_t payload[RECORD_MAX];
        uint64_t at = 0;

        memset(payload, 0xff, sizeof(payload));
        for (uint32_t i = 0; i < 200; i++) {
                struct frame frame = { .kind = FRAME_CAST };
                uint32_t size = i * 7 % 300;
                const struct frame *header;

                assert_int_equal(edge_send(l->victim, &frame, payload, size, NULL), 0);
                assert_int_equal(edge_flush(l->victim), 0);
                header = (const struct frame *)(l->victim_data + (at & (RING - 1)));
                if (header->kind == FRAME_PAD) {
                        assert_int_equal(header->length, RING - (at & (RING - 1)));
                        at += header->length;
                        header = (const struct frame *)l->victim_data;
                }
                assert_int_equal(header->length, FRAME_SIZE + size);
                for (uint32_t k = FRAME_SIZE + size; k % 16; k++)
                        assert_int_equal(((const uint8_t *)header)[k], 0);
                at += (FRAME_SIZE + (uint64_t)size + 15) & ~UINT64_C(15);
                assert_int_equal(shared_load64(&l->victim_side->tail), at);
                shared_store64(&l->side->head, at);
        }
}

/* Bells -------------------------------------------------------------------------------------------------------------- */

static void send_one(struct liar *l) {
        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, NULL, 0, NULL), 0);
        assert_int_equal(edge_flush(l->victim), 0);
        shared_store64(&l->side->head, shared_load64(&l->victim_side->tail));
}

/* One bell for each odd value of the sleeper, none for one who is awake. */
static void test_bell_only_when_armed(void **state) {
        static const struct {
                uint32_t armed;
                unsigned bells;
        } steps[] = { { 0, 0 }, { 1, 1 }, { 1, 0 }, { 2, 0 }, { 3, 1 }, { 3, 0 }, { 4, 0 }, { 4, 0 }, { 5, 1 }, { UINT32_MAX, 1 } };
        struct liar *l = *state;

        for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
                shared_store32(&l->side->armed, steps[i].armed);
                send_one(l);
                assert_int_equal(liar_count_bells(l), steps[i].bells);
        }
}

static void test_one_bell_for_a_batch(void **state) {
        struct liar *l = *state;

        shared_store32(&l->side->armed, 1);
        for (int i = 0; i < 10; i++)
                assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, NULL, 0, NULL), 0);
        assert_int_equal(shared_load64(&l->victim_side->tail), 0);
        assert_int_equal(edge_flush(l->victim), 0);
        assert_int_equal(edge_flush(l->victim), 0);
        assert_int_equal(shared_load64(&l->victim_side->tail), 640);
        assert_int_equal(liar_count_bells(l), 1);
}

/* Born asleep; awake after a bell; each sleep has a value of its own. */
static void test_arming(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        uint32_t armed = shared_load32(&l->victim_side->armed);

        assert_int_equal(armed & 1, 1);
        assert_true(edge_arm(l->victim));
        assert_int_equal(shared_load32(&l->victim_side->armed), armed);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(write(l->bell_write, "", 1), 1);
                assert_int_equal(edge_on_bell(l->victim), 0);
                assert_int_equal(shared_load32(&l->victim_side->armed) & 1, 0);
                assert_int_equal(edge_receive(l->victim, &m), EDGE_E_EMPTY);
                assert_true(edge_arm(l->victim));
                assert_int_equal(shared_load32(&l->victim_side->armed), armed + 2);
                armed += 2;
        }
        /* published between the last look and the arming */
        liar_publish(l, liar_put(l, 0, &(struct frame){ .kind = FRAME_CAST }, NULL, 0));
        assert_false(edge_arm(l->victim));
}

/* Who waits for room is rung when there is some, once. */
static void test_bell_for_credit(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        uint64_t at = 0;

        for (uint32_t waiting = 1; waiting < 9; waiting += 2) {
                for (int k = 0; k < 2; k++) {
                        at = liar_put(l, at, &(struct frame){ .kind = FRAME_CAST }, NULL, 0);
                        liar_publish(l, at);
                        shared_store32(&l->side->waiting, waiting);
                        assert_int_equal(edge_receive(l->victim, &m), 0);
                        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_EMPTY);
                        assert_int_equal(shared_load64(&l->victim_side->head), at);
                        assert_int_equal(liar_count_bells(l), k == 0);
                }
                shared_store32(&l->side->waiting, waiting + 1);
        }
}

/* A full ring is given back while it is emptied, not only at its end. */
static void test_credit_by_quarters(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        uint64_t at = 0, head = 0;

        while (at < RING)
                at = liar_put(l, at, &(struct frame){ .kind = FRAME_CAST }, NULL, 0);
        liar_publish(l, at);
        for (uint64_t taken = 0; taken < RING; taken += FRAME_SIZE) {
                assert_int_equal(edge_receive(l->victim, &m), 0);
                head = shared_load64(&l->victim_side->head);
                assert_true(taken + FRAME_SIZE - head < RING / 4);
        }
        assert_int_equal(head, RING);
}

/* It asks for room when it has something queued, and takes it back when it has not. */
static void test_waiting_for_room(void **state) {
        struct liar *l = *state;
        struct edge_outgoing out = { 0 };
        uint8_t payload[RING] = { 0 };

        assert_int_equal(shared_load32(&l->victim_side->waiting) & 1, 0);
        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, payload, sizeof(payload), &out), EDGE_E_FULL);
        assert_int_equal(shared_load32(&l->victim_side->waiting) & 1, 1);
        shared_store64(&l->side->head, shared_load64(&l->victim_side->tail));
        assert_int_equal(write(l->bell_write, "", 1), 1);
        assert_int_equal(edge_on_bell(l->victim), 0);
        assert_true(edge_is_idle(l->victim));
        assert_int_equal(shared_load32(&l->victim_side->waiting) & 1, 0);
        /* and what was sent is published, not only written */
        assert_true(shared_load64(&l->victim_side->tail) > RING);
}

/* Bells without number cost one bounded reading; a peer who never reads his does not stop us either. */
static void test_flood_of_bells(void **state) {
        struct liar *l = *state;
        char bells[4096] = { 0 };
        struct edge_message m;

        while (write(l->bell_write, bells, sizeof(bells)) > 0)
                ;
        assert_int_equal(edge_on_bell(l->victim), 0);
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_EMPTY);
        for (uint32_t i = 1; i < 300000; i += 2) {
                shared_store32(&l->side->armed, i);
                send_one(l);
        }
        assert_null(edge_poison_reason(l->victim));
}

/* The end of a peer is seen behind more bells than one turn reads. */
static void test_end_behind_a_flood(void **state) {
        struct liar *l = *state;
        char bells[4096] = { 0 };
        struct edge_message m;

        if (fcntl(l->bell_write, F_SETPIPE_SZ, 1 << 20) < 0)
                skip();
        while (write(l->bell_write, bells, sizeof(bells)) > 0)
                ;
        l->bell_write = fd_close(l->bell_write);
        edge_on_bell(l->victim);
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_CLOSED);
}

static void test_peer_without_ears(void **state) {
        struct liar *l = *state;
        struct edge_message m;

        l->bell_read = fd_close(l->bell_read);
        shared_store32(&l->side->armed, 1);
        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, NULL, 0, NULL), 0);
        assert_int_equal(edge_flush(l->victim), EDGE_E_CLOSED);
        assert_false(edge_arm(l->victim));
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_CLOSED);
}

/* Attaching ---------------------------------------------------------------------------------------------------------- */

static int memory_with(uint64_t size, int seals, const struct edge_side *side) {
        int fd = memfd_new("liar", size);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, side, MIN(sizeof(*side), size), 0), MIN(sizeof(*side), size));
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        if (seals)
                assert_int_equal(memfd_seal(fd, seals), 0);
        return fd;
}

static void expect_attach(int memory, int bell, int result, const char *reason) {
        unsigned before = count_fds();
        struct edge *edge;

        assert_int_equal(edge_new(&edge, &LIMITS), 0);
        assert_int_equal(edge_attach(edge, memory, bell), result);
        if (reason) {
                assert_non_null(edge_poison_reason(edge));
                if (!strstr(edge_poison_reason(edge), reason))
                        fail_msg("\"%s\" is no word of \"%s\"", edge_poison_reason(edge), reason);
        }
        edge_free(edge);
        /* both taken, whatever came of it */
        assert_int_equal(count_fds(), before - (memory >= 0) - (bell >= 0));
}

static int good_bell(void) {
        int pipes[2];

        assert_int_equal(fd_pipe(pipes), 0);
        fd_close(pipes[1]);
        return pipes[0];
}

#define GOOD ((struct edge_side){ .magic = EDGE_MAGIC, .version = EDGE_VERSION, .ring_size = RING })

static void test_attach_memory(void **state) {
        static const struct {
                uint64_t size;
                int seals;
                uint64_t magic;
                uint32_t version, ring_size;
                const char *reason; /* NULL: taken */
        } cases[] = {
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, NULL },
                { EDGE_DATA_OFFSET + RING, 0, EDGE_MAGIC, EDGE_VERSION, RING, "sealed" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_CONST, EDGE_MAGIC, EDGE_VERSION, RING, "sealed" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS & ~F_SEAL_SHRINK, EDGE_MAGIC, EDGE_VERSION, RING, "sealed" },
                { 0, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "right size" },
                { EDGE_DATA_OFFSET, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "right size" },
                { EDGE_DATA_OFFSET + RING - 1, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "right size" },
                { EDGE_DATA_OFFSET + RING + 1, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "power of two" },
                { EDGE_DATA_OFFSET + RING * 3, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING * 3, "power of two" },
                { EDGE_DATA_OFFSET + 2ull * EDGE_RING_MAX, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, 2 * EDGE_RING_MAX, "right size" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC + 1, EDGE_VERSION, RING, "begin" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION + 1, RING, "begin" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING * 2, "begin" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, 0, "begin" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct edge_side side = { .magic = cases[i].magic, .version = cases[i].version, .ring_size = cases[i].ring_size };

                expect_attach(memory_with(cases[i].size, cases[i].seals, &side), good_bell(), cases[i].reason ? EDGE_E_POISONED : 0,
                              cases[i].reason);
        }
}

static void test_attach_other_memory(void **state) {
        int huge = memfd_create("liar", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB), pipes[2];

        expect_attach(-1, good_bell(), EDGE_E_POISONED, "sealed");
        expect_attach(open("/dev/null", O_RDWR | O_CLOEXEC), good_bell(), EDGE_E_POISONED, "sealed");
        assert_int_equal(fd_pipe(pipes), 0);
        expect_attach(pipes[0], good_bell(), EDGE_E_POISONED, "sealed");
        close(pipes[1]);
        if (huge < 0)
                return;
        assert_int_equal(ftruncate(huge, 2 << 20), 0);
        assert_int_equal(memfd_seal(huge, MEMFD_SEALS_BUS), 0);
        expect_attach(huge, good_bell(), EDGE_E_POISONED, "sealed");
}

/* Whatever could hang the ringer or never ring. */
static void test_attach_bell(void **state) {
        int pipes[2], sockets[2];

        assert_int_equal(fd_pipe(pipes), 0);
        assert_int_equal(fd_socketpair(sockets), 0);
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), pipes[1], EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), sockets[0], EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), eventfd(0, EFD_CLOEXEC), EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), open("/dev/null", O_RDONLY | O_CLOEXEC),
                      EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), -1, -EBADF, NULL);
        close(pipes[0]);
        close(sockets[1]);
}

/* The peer may hand over a pipe that blocks, or make it so at any time, for it can keep the end that it gave away:
 * reading must not wait (the test would hang), and goes on seeing bells and the end. */
static void test_bell_that_blocks(void **state) {
        struct edge_message m;
        struct edge *edge;
        int pipes[2], kept, left;

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        kept = fd_dup(pipes[0]);
        assert_int_equal(edge_new(&edge, &LIMITS), 0);
        assert_int_equal(edge_attach(edge, memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), pipes[0]), 0);
        assert_int_equal(fd_set_nonblock(kept, false), 0);
        assert_int_equal(edge_on_bell(edge), 0);
        assert_int_equal(write(pipes[1], "bells", 5), 5);
        assert_int_equal(edge_on_bell(edge), 0);
        assert_int_equal(ioctl(kept, FIONREAD, &left), 0);
        assert_int_equal(left, 0);
        assert_int_equal(edge_receive(edge, &m), EDGE_E_EMPTY);
        close(pipes[1]);
        assert_int_equal(edge_on_bell(edge), 0);
        assert_int_equal(edge_receive(edge, &m), EDGE_E_CLOSED);
        edge_free(edge);
        close(kept);
}

/* A host that does not let bells be read (a filter of system calls around all of us, a pipe of notifications) is told of
 * at the first bell, not when the pipe is full and wakes are lost. */
static int vmsplice_error;
ssize_t __real_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags);
ssize_t __wrap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags);

ssize_t __wrap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags) {
        if (!vmsplice_error)
                return __real_vmsplice(fd, iov, n, flags);
        errno = vmsplice_error;
        return -1;
}

static void test_bell_that_cannot_be_read(void **state) {
        static const struct {
                int error, result;
        } cases[] = { { EAGAIN, 0 },
                      { EINTR, 0 },
                      { ENOMEM, 0 },
                      { ENOSYS, EDGE_E_POISONED },
                      { EPERM, EDGE_E_POISONED },
                      { EBADF, EDGE_E_POISONED } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct liar l;

                liar_open(&l, &LIMITS);
                vmsplice_error = cases[i].error;
                assert_int_equal(edge_on_bell(l.victim), cases[i].result);
                vmsplice_error = 0;
                if (cases[i].result)
                        assert_poisoned(&l, "doorbell cannot be read");
                liar_close(&l);
        }
}

static void test_attach_twice(void **state) {
        struct liar *l = *state;
        unsigned before = count_fds();

        assert_int_equal(edge_attach(l->victim, memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), good_bell()), -EALREADY);
        assert_int_equal(count_fds(), before);
        assert_null(edge_poison_reason(l->victim));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tail),
                TEST(test_tail_backwards),
                TEST(test_where_it_says_that_it_sleeps),
                cmocka_unit_test(test_headers),
                TEST(test_header_of_zeroes),
                TEST(test_payload_is_private),
                cmocka_unit_test(test_fragments),
                TEST(test_empty_fragments),
                TEST(test_message_without_end),
                cmocka_unit_test(test_single_record_over_the_limit),
                TEST(test_too_many_bytes_unfinished),
                TEST(test_too_many_messages_unfinished),
                TEST(test_work_of_one_call_is_bounded),
                cmocka_unit_test(test_work_does_not_grow_with_the_ring),
                TEST(test_rest_is_not_slept_over),
                cmocka_unit_test(test_credit),
                TEST(test_credit_before_publishing),
                TEST(test_credit_backwards),
                TEST(test_credit_while_queued),
                TEST(test_published_padding_is_zero),
                TEST(test_bell_only_when_armed),
                TEST(test_one_bell_for_a_batch),
                TEST(test_arming),
                TEST(test_bell_for_credit),
                TEST(test_credit_by_quarters),
                TEST(test_waiting_for_room),
                TEST(test_flood_of_bells),
                TEST(test_end_behind_a_flood),
                TEST(test_peer_without_ears),
                cmocka_unit_test(test_attach_memory),
                cmocka_unit_test(test_attach_other_memory),
                cmocka_unit_test(test_attach_bell),
                cmocka_unit_test(test_bell_that_blocks),
                cmocka_unit_test(test_bell_that_cannot_be_read),
                TEST(test_attach_twice),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
