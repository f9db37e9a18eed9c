/* SPDX-License-Identifier: Apache-2.0
 *
 * What does not end by itself when an instance is to go: it is counted, and told in
 * the module's log, its history, an event and the operation by which it goes.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* drain-timeout is over, and not all requests are. */
void cut_on_drain_timeout(struct instance *instance);
/* Why it is not waited for any longer: for a request that does not come back, else as `what` says. */
void cut_reason(const struct instance *instance, const char *what, char *ret_text, size_t size);
/* An instance has ended; `how` says in which way. FAULT_NONE: as it should, or it was not to go. Else what was wrong, also in words. */
enum fault cut_fault(const struct instance *instance, const struct control_exited *exited, const char *how, char *ret_text, size_t size);
/* Tells it. */
void cut_on_exit(struct instance *instance, const struct control_exited *exited, const char *how);
