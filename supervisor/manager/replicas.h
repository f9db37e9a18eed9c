/* SPDX-License-Identifier: Apache-2.0
 *
 * How many instances of a version there are, and how many there are to be. One
 * that is unhealthy serves, but its place is to be taken: it does not count.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* As many as [scale] min says. 0 would be forked on the first request: not yet, and counts as 1. */
uint32_t replicas_wanted(const struct candidate *candidate);
/* That are there, or on their way, to stay. */
uint32_t replicas_staying(const struct candidate *candidate);
/* Of these, those that serve. */
uint32_t replicas_ready(const struct candidate *candidate);
/* All that are wanted serve. */
bool replicas_complete(const struct candidate *candidate);
/* One that is kept ready and may serve again; NULL: none. */
struct instance *replicas_resting(const struct candidate *candidate);
/* Somebody serves, be he unhealthy. */
bool replicas_serve(const struct candidate *candidate);

/* Retires the unhealthy whose place has been taken; with `all`, also where nobody takes it. True: somebody was. */
bool replicas_retire_unhealthy(struct candidate *candidate, bool all);
/* A former manager was about to put some into the place of others: the newest that serve stay, and nobody rests beside them. */
void replicas_retire_surplus(struct candidate *candidate);
