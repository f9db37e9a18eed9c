/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines: a heap of the times at which something must have happened. A
 * deadline moved to a later time costs a store; an empty heap never wakes.
 */
#pragma once

#include <stdint.h>

struct deadline {
        void (*on_due)(struct deadline *deadline); /* it is no longer set when this is called */
        uint64_t when_ns;                          /* UINT64_MAX: not set */
        uint32_t place;                            /* private: in the heap, from 1; 0: not there */
};

struct deadlines {
        struct deadline_entry {
                uint64_t key_ns; /* not later than when_ns */
                struct deadline *deadline;
        } * heap;
        uint32_t n, room, n_owners;
};

void deadlines_deinit(struct deadlines *d);
/* Keeps a place for one deadline, so that deadline_set() cannot fail. 0 or -ENOMEM. */
int deadline_init(struct deadlines *d, struct deadline *deadline, void (*on_due)(struct deadline *));
void deadline_deinit(struct deadlines *d, struct deadline *deadline);

void deadline_set(struct deadlines *d, struct deadline *deadline, uint64_t when_ns);
void deadline_clear(struct deadlines *d, struct deadline *deadline);

/* When to wake (it may turn out to be too early); UINT64_MAX: never. */
uint64_t deadlines_next(const struct deadlines *d);
/* Calls on_due of everything that is due. */
void deadlines_run(struct deadlines *d, uint64_t now_ns);
