/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of edges share: two edges that are joined, a peer that is not
 * of our code and says what it likes, and a count of open descriptors.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/edge-layout.h"
#include "ipc/edge.h"

#define RING 4096u
#define RECORD_MAX (RING / 4 - FRAME_SIZE)

/* Number of open descriptors of this process. */
unsigned count_fds(void);

/* Joins two new edges as the manager would. */
void edges_join(struct edge **ret_a, struct edge **ret_b, const struct edge_limits *limits);

/* A peer whose memory the test writes. The edge that has to bear it is `victim`. */
struct liar {
        struct edge *victim;
        struct edge_side *side; /* writable */
        uint8_t *data;
        const struct edge_side *victim_side;
        const uint8_t *victim_data;
        int bell_write; /* rings the victim */
        int bell_read;  /* the victim rings here */
};

void liar_open(struct liar *liar, const struct edge_limits *limits);
void liar_close(struct liar *liar);
/* Writes a record at the position and returns the position behind it. */
uint64_t liar_put(struct liar *liar, uint64_t position, const struct frame *frame, const void *payload, uint32_t size);
void liar_publish(struct liar *liar, uint64_t tail);
unsigned liar_count_bells(struct liar *liar);

/* One of these limits for each test: LIAR_TEST(test_something) in the list; *state is the liar. */
#define LIAR_LIMITS ((struct edge_limits){ .ring_size = RING, .max_message = 64 << 10, .max_partial = 128 << 10 })
int liar_setup(void **state);
int liar_teardown(void **state);
#define LIAR_TEST(name) cmocka_unit_test_setup_teardown(name, liar_setup, liar_teardown)

/* The victim is poisoned, with this in its reason, and for ever. */
void liar_assert_poisoned(struct liar *liar, const char *reason);
/* It becomes so by the next receive. */
void liar_expect_poison(struct liar *liar, const char *reason);
