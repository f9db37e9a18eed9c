/* SPDX-License-Identifier: Apache-2.0
 *
 * 0, 100, 200, ... 5000 ms; a life of ten seconds forgives everything.
 */
#include "supervisor/base/backoff.h"

uint32_t backoff_next(uint32_t *n_quick, uint64_t lived_ms) {
        uint32_t wait = BACKOFF_FIRST_MS;

        if (lived_ms >= BACKOFF_STABLE_MS) {
                *n_quick = 0;
                return 0;
        }
        if ((*n_quick)++ == 0)
                return 0;
        for (uint32_t i = 2; i < *n_quick && wait < BACKOFF_MAX_MS; i++)
                wait *= 2;
        return wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
}
