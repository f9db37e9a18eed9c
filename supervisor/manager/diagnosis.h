/* SPDX-License-Identifier: Apache-2.0
 *
 * Ending a worker that is stuck: first it is asked where it is, then it is killed.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* "hung: GET /x has run for 30.0 s and is ended", or what has to be said of it else. Idempotent: the first reason counts. */
void diagnosis_begin(struct instance *instance, const char *what);
/* It has answered. */
void diagnosis_on_answer(struct instance *instance);
/* It has died before it was killed. */
void diagnosis_on_death(struct instance *instance);
struct diagnosis *diagnosis_free(struct diagnosis *diagnosis);

/* Pure: what is said of a worker. position "": it did not answer. */
void diagnosis_text(const char *what, const char *position, char *ret_text, size_t size);
/* Pure: what has run for so long; request "": code of the module that handles none. */
void diagnosis_what(const char *request, uint64_t ran_ms, char *ret_text, size_t size);
