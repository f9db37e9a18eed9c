/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what workers say: two pipes, standard output and error, and the log
 * ring of the page.
 */
#pragma once

#include "supervisor/manager/log-hub.h"

struct instance_log;

int module_log_start(struct manager *manager);
/* Somebody has moved the files away. */
void module_log_reopen(struct manager *manager);

/* Takes the pipes (always consumed) of an instance that has its id. 0 or -errno. */
int module_log_attach(struct instance *instance, int out, int err);
/* Everything that is there now: the worker is dead. */
void module_log_end(struct instance *instance);
/* What the base has to say about its worker, beside what it says itself; after module_log_end(), it is the last word. */
_printf_(3, 4) void module_log_say(struct instance *instance, uint32_t level, const char *format, ...);
void module_log_detach(struct instance *instance);
