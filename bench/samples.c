/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantiles by sorting a copy: the order of measuring is kept for the range.
 */
#include "bench/samples.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"

#define BLOCKS 10

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double quantile(const double *values, size_t n, double q) {
        _cleanup_free_ double *sorted = n ? malloc(n * sizeof(*values)) : NULL;

        if (n == 0)
                return 0;
        assert(sorted);
        memcpy(sorted, values, n * sizeof(*values));
        qsort(sorted, n, sizeof(*sorted), compare);
        return sorted[(size_t)(q * (double)(n - 1) + 0.5)];
}

void samples_add(struct samples *samples, double value) {
        if (samples->n == samples->capacity) {
                samples->capacity = MAX(2 * samples->capacity, (size_t)SAMPLES_MAX);
                samples->values = realloc(samples->values, samples->capacity * sizeof(*samples->values));
                assert(samples->values);
        }
        samples->values[samples->n++] = value;
}

double samples_quantile(const struct samples *samples, double q) {
        return quantile(samples->values, samples->n, q);
}

struct samples_range samples_range(const struct samples *samples) {
        size_t blocks = MIN(samples->n, (size_t)BLOCKS);
        struct samples_range range = { 0 };

        for (size_t i = 0; i < blocks; i++) {
                size_t begin = i * samples->n / blocks, end = (i + 1) * samples->n / blocks;
                double median = quantile(&samples->values[begin], end - begin, 0.5);

                range.low = i == 0 ? median : MIN(range.low, median);
                range.high = i == 0 ? median : MAX(range.high, median);
        }
        return range;
}
