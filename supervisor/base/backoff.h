/* SPDX-License-Identifier: Apache-2.0
 *
 * When a role that died is started again: at once, unless it keeps dying.
 */
#pragma once

#include <stdint.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define BACKOFF_STABLE_MS 10000

/* Pure. `n_quick` counts deaths in a row within 10 s of life and is brought up to date. Milliseconds to wait. */
uint32_t backoff_next(uint32_t *n_quick, uint64_t lived_ms);
