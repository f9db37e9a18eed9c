/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of several instances takes the next request. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct load {
        uint32_t in_flight;
        uint32_t weight; /* > 0 */
        uint64_t served; /* requests ever given to it */
};

/* The choice so far: { 0 } at the begin, then each is considered, in any order. */
struct load_choice {
        const struct load *best, *best_near;
        void *who, *who_near;
};

/* near: it is asleep on the core of who asks. */
void load_consider(struct load_choice *choice, void *who, const struct load *load, bool near);
/* The best one; the best of the near when it is about as little loaded. NULL: none was considered. */
void *load_choose(const struct load_choice *choice);

/* Fewer in flight per weight; of two equals the one that was given less so far, per weight. */
bool load_prefers(const struct load *a, const struct load *b);
