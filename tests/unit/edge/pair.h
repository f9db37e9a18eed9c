/* SPDX-License-Identifier: Apache-2.0
 *
 * Two honest edges that are joined, and messages whose bytes can be told from each
 * other's by a seed.
 */
#pragma once

#include <stdbool.h>

#include "fixture.h"

#define PAIR_LIMITS ((struct edge_limits){ .ring_size = RING, .max_message = 1 << 20, .max_partial = 4 << 20 })

/* One for each test: PAIR_TEST(test_something) in the list; *state is the pair. */
struct pair {
        struct edge *a, *b;
};
int pair_setup(void **state);
int pair_teardown(void **state);
#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

bool pair_rung(const struct edge *edge);
/* As epoll would: the bell's handler runs only when it rang. */
void pair_on_events(struct edge *edge);

void pair_fill(uint8_t *data, uint32_t size, uint32_t seed);
void pair_assert_filled(const struct edge_message *m, uint32_t size, uint32_t seed);
/* on_sent: counts in the int that userdata points to. */
void pair_count_sent(struct edge_outgoing *out, int result);
/* The next message at `to`, while `from` sends what it had queued. */
void pair_take(struct edge *from, struct edge *to, struct edge_message *ret);
/* A message of this size, from its sending to its arrival. */
void pair_round_trip(struct edge *from, struct edge *to, uint32_t size, uint32_t seed);
