/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers that never come twice, whoever dies: those of operations and of events.
 * They are taken from what is reserved on the disk, a block at a time, so that
 * counting costs no write; what is left of a block when the manager ends is left out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct manager;

#define NUMBERS                                                                                                                            \
        X(operation, 100)                                                                                                                  \
        X(event, 1000)

enum number {
#define X(name, block) NUMBER_##name,
        NUMBERS
#undef X
                N_NUMBERS
};

/* At start; waits for the disk. */
void numbers_start(struct manager *manager);
/* The first one of this life. */
uint64_t numbers_first(enum number number);
/* This one is in use: the next block is reserved before it is needed. */
void numbers_used(enum number number, uint64_t n);

/* Pure: a file ("NAME N", a line each). False: a line makes no sense; what the others say is taken all the same. */
bool numbers_parse(char *text, uint64_t ret_numbers[static N_NUMBERS]);
