/* SPDX-License-Identifier: Apache-2.0
 *
 * A token bucket: so many a second, so many at once after a quiet time. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"

struct log_bucket {
        uint64_t rate, burst;
        uint64_t full_ns; /* when it will be, or was, full: now - full_ns says how many there are */
};

static inline void log_bucket_set(struct log_bucket *bucket, uint64_t rate, uint64_t burst) {
        bucket->rate = rate;
        bucket->burst = burst;
}

/* Takes one token; false: there is none. */
static inline bool log_bucket_take(struct log_bucket *bucket, uint64_t now_ns) {
        uint64_t each = NS_PER_S / bucket->rate, full = MAX(bucket->full_ns, now_ns);

        if (full + each - now_ns > each * bucket->burst)
                return false;
        bucket->full_ns = full + each;
        return true;
}
