/* SPDX-License-Identifier: Apache-2.0
 *
 * The crash policy.
 */
#include "supervisor/manager/restart.h"

bool restart_exceeds(const struct restart_policy *policy, uint64_t n) {
        return n > policy->burst;
}

uint64_t restart_delay_ms(const struct restart_policy *policy, uint64_t n, uint32_t random) {
        uint64_t delay = policy->backoff_ms;
        uint64_t i;

        if (n <= 1)
                return 0;
        for (i = 2; i < n && delay < policy->backoff_max_ms; i++)
                delay *= 2;
        if (delay > policy->backoff_max_ms)
                delay = policy->backoff_max_ms;
        return delay - (delay / 4) * (random & 0xffff) / 0xffff;
}
