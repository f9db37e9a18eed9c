/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop for each test, and connections on it of which the test holds the other
 * ends. What is said there are the bytes of one endless text, so that each place in
 * it can be told from the next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/clock.h"
#include "supervisor/gateway/net.h"

#define MANY 700
#define PATIENCE_NS (30 * NS_PER_S)

/* A connection under test and its other end. */
struct end {
        struct net_socket socket;
        int peer;
        uint64_t received, in_turn; /* bytes; in_turn: since the test has set it to 0 */
        unsigned n_data, n_ended, n_sent;
        int error;
        bool wrong; /* another byte than the one whose turn it was */
        struct end *victim;
};

extern struct net *net;
extern uint64_t turns;
extern const struct net_handler end_handler; /* of ends */
int ends_setup(void **state);
int ends_teardown(void **state);
#define ENDS_TEST(name) cmocka_unit_test_setup_teardown(name, ends_setup, ends_teardown)

void end_open(struct end *e);
void end_close(struct end *e);
/* Writes the text from there on at the other end: so much of it was taken. */
size_t end_say(struct end *e, uint64_t position, size_t size);
/* Reads at the other end what must be the text from there on. */
uint64_t end_hear(struct end *e, uint64_t position);
/* The text itself. */
void text_fill(uint8_t *data, uint64_t position, size_t size);

/* Waits for so long at most: 0, nothing came. */
int turn(uint64_t timeout_ns);
/* A few turns that do not sleep: whatever is on its way comes, and the loop comes to rest. */
void settle(void);
#define TURN_UNTIL(condition)                                                                                                              \
        do {                                                                                                                               \
                uint64_t until_ = clock_now_ns() + PATIENCE_NS;                                                                            \
                while (!(condition)) {                                                                                                     \
                        assert_true(clock_now_ns() < until_);                                                                              \
                        turn(NS_PER_MS * 10);                                                                                              \
                }                                                                                                                          \
        } while (0)
