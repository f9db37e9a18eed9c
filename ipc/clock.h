/* SPDX-License-Identifier: Apache-2.0
 *
 * Time on the bus is CLOCK_MONOTONIC in nanoseconds: one clock for all
 * processes of one machine, so stamps of different processes compare.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static inline uint64_t clock_now_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}
