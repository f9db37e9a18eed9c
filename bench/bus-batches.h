/* SPDX-License-Identifier: Apache-2.0
 *
 * How every line of bench-bus is timed, and what its messages are: filled anew
 * by whoever sends, summed up by whoever receives. Used by the pairs of bare
 * processes and by the modules alike.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "ipc/clock.h"

#define BATCHES 15
#define BATCH_NS (4 * NS_PER_MS)

static inline int batches_compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static inline double batches_time(void (*run)(unsigned n), unsigned n) {
        uint64_t begin = clock_now_ns();

        run(n);
        return (double)(clock_now_ns() - begin);
}

/* The median time of one of `run`'s n operations, in ns. The size of a batch is found by warming up. */
static inline double batches_median(void (*run)(unsigned n)) {
        double ns[BATCHES];
        unsigned n = 1;

        while (batches_time(run, n) < BATCH_NS)
                n *= 2;
        for (int i = 0; i < BATCHES; i++)
                ns[i] = batches_time(run, n) / n;
        qsort(ns, BATCHES, sizeof(*ns), batches_compare);
        return ns[BATCHES / 2];
}

/* Whole words. */
static inline void message_fill(void *data, size_t size, uint64_t first) {
        uint64_t *words = data;

        for (size_t i = 0; i < size / sizeof(*words); i++)
                words[i] = first + i;
}

static inline bool message_check(const void *data, size_t size, uint64_t *ret_first) {
        const uint64_t *words = data;
        uint64_t sum = 0, n = size / sizeof(*words);

        for (size_t i = 0; i < n; i++)
                sum += words[i];
        *ret_first = words[0];
        return sum == n * words[0] + n * (n - 1) / 2;
}
