/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs two processes, each a coroutine, through everything that can happen:
 * depth first over all that is chosen, every execution from the beginning. What
 * follows a state that was seen before is not run again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/cleanup.h"

#define N_PROCESSES 2u

struct exploration {
        void (*begin)(void); /* the first state; no choice may be left over from what ran before */
        void (*run[N_PROCESSES])(void);
        bool (*can_run)(unsigned process); /* false: it sleeps */
        /* Of all that decides what comes next: the processes being deterministic, what each has seen will do. */
        uint64_t (*hash)(void);
        /* Nobody can run any more: both have ended, or somebody sleeps for ever. NULL, or what is wrong. */
        const char *(*check_end)(bool ended);

        uint64_t n_executions, n_states;
        char failure[160];
};

/* True when nothing failed; else e->failure says what, and the last execution is the one that did. */
bool explore(struct exploration *e);

/* For the processes. */
unsigned explore_self(void);
void explore_yield(void);            /* the other may go first */
unsigned explore_choose(unsigned n); /* one of 0 ... n - 1 */
_noreturn_ _printf_(1, 2) void explore_fail(const char *format, ...);

/* A step of a hash. */
static inline uint64_t explore_mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}
