/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines of modules: what they print and what they socle_log(), into
 * log/NAME.log. One line of the file:
 *
 *   2026-11-23T20:33:49.123Z info 1.0.0 #7 text
 */
#pragma once

#include <jansson.h>

#include "supervisor/manager/manager.h"

int module_log_start(struct manager *manager);
/* Somebody has moved the files away. */
void module_log_reopen(struct manager *manager);
/* Standard output and error of a worker. */
void module_log_drain_pipe(struct instance *instance);
/* Everything that is there now: both sources; `last`: the worker is dead. */
void module_log_drain(struct instance *instance, bool last);
/* The last n lines as a JSON array; NULL: out of memory. */
json_t *module_log_tail(struct manager *manager, const char *name, size_t n);
