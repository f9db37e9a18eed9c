/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on the bus for an admin (`soclectl call`): the manager asks by a record,
 * because only a bus peer can, and the manager is none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/edge.h"
#include "supervisor/gateway/gateway.h"

/* Begins, and perhaps ends at once. args_fd stays the caller's; -1: nil. */
void admin_call_begin(struct gateway *g, uint64_t id, const struct control_call *call, int args_fd);
/* Nobody waits for it any more. */
void admin_call_cancel(struct gateway *g, uint64_t id);
/* Nor for any of them. */
void admin_calls_forget(struct gateway *g);

/* It is being sent there: the id that its method has at this instance. False: none. */
bool admin_call_method(struct admin_call *call, const struct instance *i, uint16_t *ret_method);
/* They tell the manager and free it with its request, which is in no list. A message may say why in a string; NULL: none did. */
void admin_call_succeed(struct admin_call *call, const void *payload, uint32_t size);
void admin_call_fail(struct admin_call *call, int error, const struct edge_message *message);
