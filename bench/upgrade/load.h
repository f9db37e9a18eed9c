/* SPDX-License-Identifier: Apache-2.0
 *
 * The load: a thread that sends requests when they are due, whatever became of
 * those before (an open loop), over kept connections, and has each judged.
 */
#pragma once

#include "bench/upgrade/judge.h"

#define LOAD_CONNECTIONS 64
#define LOAD_RATE 2000 /* requests a second to `up`, and as many calls by way of `via`: at least */

struct load;

/* From now on; the judge is the thread's until load_stop() has returned. NULL: errno. */
struct load *load_start(uint16_t port, struct judge *judge);
/* When all is answered or given up. */
void load_stop(struct load *load);
void load_free(struct load *load);

/* What is sent from now on belongs to this phase. */
void load_enter(struct load *load, enum phase phase);
/* Requests to `up` so far. */
uint64_t load_n_sent(const struct load *load);
/* Requests to `up` that were answered, and calls, a second of its life; the largest number of connections in use. Of a stopped one. */
void load_rates(const struct load *load, double *ret_http, double *ret_calls, unsigned *ret_busy_max);
/* Why it could not go on, or NULL. */
const char *load_failure(const struct load *load);
