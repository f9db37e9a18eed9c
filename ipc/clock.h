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

static inline uint64_t clock_read_ns(clockid_t clock) {
        struct timespec t = { 0 };

        clock_gettime(clock, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_now_ns(void) {
        return clock_read_ns(CLOCK_MONOTONIC);
}

/* CPU that a process has used so far; 0: it is gone. */
static inline uint64_t clock_cpu_ns(pid_t pid) {
        clockid_t clock;

        return clock_getcpuclockid(pid, &clock) ? 0 : clock_read_ns(clock);
}
