/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the directory that sends nobody to an instance any more and the word to
 * it that it drains: see quiescence.c.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* The instance has just been made INSTANCE_LEAVING: it is drained now or, at the latest, in a moment. One that is READY and
 * steps aside (strategy.h) settles meanwhile. */
void quiescence_begin(struct instance *instance);
/* Its timer has come. */
void quiescence_look(struct instance *instance);
