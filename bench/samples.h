/* SPDX-License-Identifier: Apache-2.0
 *
 * The measurements of one row of a bench, in the order in which they were
 * taken, and what is said of them.
 */
#pragma once

#include <stddef.h>

#define SAMPLES_MAX 2000 /* rounds that a bench may be asked for */

/* Zeroed, it is empty; it grows. */
struct samples {
        size_t n, capacity;
        double *values;
};

void samples_add(struct samples *samples, double value);

/* 0 <= q <= 1; 0 when there are none. */
double samples_quantile(const struct samples *samples, double q);

/* The lowest and the highest median of ten blocks of consecutive rounds: what the phases of the machine did to the row. */
struct samples_range {
        double low, high;
};
struct samples_range samples_range(const struct samples *samples);
