/* SPDX-License-Identifier: Apache-2.0
 *
 * The crash policy as pure arithmetic: when to start again, when to give up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct restart_policy {
        uint64_t burst, period_ms, backoff_ms, backoff_max_ms;
};

/* n: crashes within the period, this one included. True: quarantine. */
bool restart_exceeds(const struct restart_policy *policy, uint64_t n);
/* How long to wait before the nth restart within the period: 0 for the first, then back-off doubling from backoff_ms to
 * backoff_max_ms, less up to a quarter of itself by `random` (jitter, so that neighbours do not return in step). */
uint64_t restart_delay_ms(const struct restart_policy *policy, uint64_t n, uint32_t random);
