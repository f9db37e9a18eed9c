/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a worker well? It is asked (HEALTH) at [health] interval, and whenever
 * somebody wants to know; see health.c for what counts.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* What came of the last time that it was asked. */
struct health_verdict {
        uint64_t at_ns; /* when that was known; 0: never asked, or not answered yet */
        uint64_t took_ns;
        bool healthy;
        bool hook;           /* the module has one, as far as is known */
        uint32_t n_failures; /* in a row, of those at the interval */
        char reason[320];
};
void health_verdict(const struct instance *instance, struct health_verdict *ret_verdict);

/* It is ready: from now on it may be asked, and is, at its interval. */
void health_start(struct instance *instance);
/* It is on the way out, and not asked any more. */
void health_stop(struct instance *instance);
void health_free(struct instance *instance);

/* Asks, or waits for the answer that is on its way. */
void health_ask(struct instance *instance);
bool health_is_asked(const struct instance *instance);
void health_on_result(struct instance *instance, uint64_t request, struct control_health_result *result);
