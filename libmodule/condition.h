/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions: coroutines that wait until another one wakes them. See
 * condition.c.
 */
#pragma once

#include <stdbool.h>

/* Resumes those who were woken. */
void conditions_turn(void);
/* Is there one who was? */
bool conditions_due(void);
