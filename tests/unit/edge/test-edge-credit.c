/* SPDX-License-Identifier: Apache-2.0
 *
 * Credit and bells, as an edge's peer has them in its memory: it lies about what it has
 * consumed, or is honest and looks at what sleeps and wakes between two steps.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/fd.h"
#include "ipc/shared.h"

/* Sending ------------------------------------------------------------------------------------------------------------ */

static void test_credit(void **state) {
        static const uint64_t heads[] = { RING + 16, RING + 1, UINT64_MAX, 1ull << 63, 17, 15 };

        for (size_t i = 0; i < N_ELEMENTS(heads); i++) {
                struct frame frame = { .kind = FRAME_CAST };
                struct liar l;
                int r;

                liar_open(&l, &LIAR_LIMITS);
                while (!edge_send(l.victim, &frame, NULL, 0, NULL))
                        ;
                assert_int_equal(edge_flush(l.victim), 0);
                shared_store64(&l.side->head, heads[i]);
                r = edge_send(l.victim, &frame, NULL, 0, NULL);
                assert_int_equal(r, EDGE_E_POISONED);
                liar_assert_poisoned(&l, "consumed");
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
        liar_assert_poisoned(l, "consumed");
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
        liar_assert_poisoned(l, "consumed");
}

/* A queue that meets the lie when it goes on. */
static void test_credit_while_queued(void **state) {
        struct liar *l = *state;
        struct edge_outgoing out = { 0 };
        uint8_t payload[2 * RING] = { 0 };

        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, payload, sizeof(payload), &out), EDGE_E_FULL);
        shared_store64(&l->side->head, UINT64_MAX);
        assert_int_equal(edge_on_bell(l->victim), EDGE_E_POISONED);
        liar_assert_poisoned(l, "consumed");
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_credit),
                LIAR_TEST(test_credit_before_publishing),
                LIAR_TEST(test_credit_backwards),
                LIAR_TEST(test_credit_while_queued),
                LIAR_TEST(test_published_padding_is_zero),
                LIAR_TEST(test_bell_only_when_armed),
                LIAR_TEST(test_one_bell_for_a_batch),
                LIAR_TEST(test_arming),
                LIAR_TEST(test_bell_for_credit),
                LIAR_TEST(test_credit_by_quarters),
                LIAR_TEST(test_waiting_for_room),
                LIAR_TEST(test_flood_of_bells),
                LIAR_TEST(test_end_behind_a_flood),
                LIAR_TEST(test_peer_without_ears),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
