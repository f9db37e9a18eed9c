/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations outlive the manager: each is a line of state/manager/operations when
 * it has begun and another when it has ended, and its id never comes again.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

struct manager;
struct operation;

/* At start: those of former lives are listed again. Who was running then is `interrupted` (interrupted.h). */
void operation_store_start(struct manager *manager);

/* Pure: the operation of a line. False: it makes no sense. */
bool operation_store_parse(const json_t *line, struct operation *ret);
