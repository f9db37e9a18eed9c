/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that changes its words between any two loads of ours. Built with
 * SOCLE_FUZZ_SHARED, which tells of each load before it is made: so what a
 * hostile thread on another core could only try happens here every time.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/shared.h"

#define LIMITS ((struct edge_limits){ .ring_size = RING, .max_message = 64 << 10, .max_partial = 128 << 10 })
#define LOADS_MAX 1000u /* by far more than any of the calls below needs */

static struct {
        struct liar *liar;
        size_t word; /* offset of what changes; 0: nothing does */
        void (*change)(struct liar *liar);
        unsigned loads;
} restless;

void shared_fetching(const uint8_t *from, uint64_t size) {
}

/* Only words that begin a page of their own side are in question, so the offset in the page tells which it is. */
void shared_loading(const void *word) {
        if (!restless.word || ((uintptr_t)word & (EDGE_DATA_OFFSET - 1)) != restless.word)
                return;
        if (++restless.loads > LOADS_MAX)
                fail_msg("the word at %zu was loaded %u times: the peer keeps us there", restless.word, restless.loads);
        restless.change(restless.liar);
}

static void restless_begin(struct liar *l, size_t word, void (*change)(struct liar *liar)) {
        restless.liar = l;
        restless.change = change;
        restless.loads = 0;
        restless.word = word;
}

static int setup(void **state) {
        static struct liar liar;

        liar_open(&liar, &LIMITS);
        *state = &liar;
        return 0;
}

static int teardown(void **state) {
        restless.word = 0;
        liar_close(*state);
        return 0;
}

/* Room that is there when asked for, and gone when used. */
static void flip_head(struct liar *l) {
        l->side->head ^= 16;
}

static void test_room_that_comes_and_goes(void **state) {
        struct liar *l = *state;
        struct edge_outgoing out = { 0 };
        uint8_t payload[2 * RING] = { 0 };

        restless_begin(l, offsetof(struct edge_side, head), flip_head);
        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, payload, sizeof(payload), &out), EDGE_E_POISONED);
        assert_string_equal(edge_poison_reason(l->victim), "it has consumed what was never sent");
}

static void test_room_that_comes_and_goes_for_the_queue(void **state) {
        struct liar *l = *state;
        struct edge_outgoing out = { 0 };
        uint8_t payload[2 * RING] = { 0 };

        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, payload, sizeof(payload), &out), EDGE_E_FULL);
        restless_begin(l, offsetof(struct edge_side, head), flip_head);
        assert_int_equal(edge_on_bell(l->victim), EDGE_E_POISONED);
        edge_cancel(&out);
}

/* Room made in the least of steps, each just before it is looked for: as many rounds as the ring has, and no more. */
static void creep_head(struct liar *l) {
        l->side->head = MIN(l->side->head + 16, shared_load64(&l->victim_side->tail));
}

static void test_room_by_drops(void **state) {
        struct liar *l = *state;
        struct edge_outgoing out = { 0 };
        uint8_t payload[2 * RING] = { 0 };

        assert_int_equal(edge_send(l->victim, &(struct frame){ .kind = FRAME_CAST }, payload, sizeof(payload), &out), EDGE_E_FULL);
        restless_begin(l, offsetof(struct edge_side, head), creep_head);
        assert_int_equal(edge_on_bell(l->victim), 0);
        assert_true(edge_is_idle(l->victim));
        assert_null(edge_poison_reason(l->victim));
}

/* A peer that hangs up and writes on: one more record whenever somebody looks for the end. */
static void grow_tail(struct liar *l) {
        l->side->tail = liar_put(l, l->side->tail, &(struct frame){ .kind = FRAME_CAST }, NULL, 0);
}

static void test_end_that_does_not_come(void **state) {
        struct liar *l = *state;
        struct edge_message m;
        unsigned n = 0;
        int r;

        grow_tail(l);
        l->bell_write = fd_close(l->bell_write);
        assert_int_equal(edge_on_bell(l->victim), 0);
        restless_begin(l, offsetof(struct edge_side, tail), grow_tail);
        /* what was there is delivered, and then it is over */
        while ((r = edge_receive(l->victim, &m)) == 0)
                n++;
        assert_int_equal(r, EDGE_E_CLOSED);
        assert_true(n >= 1);
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_CLOSED);
        assert_false(edge_arm(l->victim));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_room_that_comes_and_goes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_room_that_comes_and_goes_for_the_queue, setup, teardown),
                cmocka_unit_test_setup_teardown(test_room_by_drops, setup, teardown),
                cmocka_unit_test_setup_teardown(test_end_that_does_not_come, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
