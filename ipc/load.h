/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of two instances takes the next request. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct load {
        uint32_t in_flight;
        uint32_t weight; /* > 0 */
        uint64_t served; /* requests ever given to it */
};

/* Fewer in flight per weight; of two equals the one that was given less so far, per weight. */
bool load_prefers(const struct load *a, const struct load *b);
