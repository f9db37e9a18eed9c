/* SPDX-License-Identifier: Apache-2.0
 *
 * Who broke the protocol of the bus, told to the operator: an event, a line in
 * the module's log and the base's, and counts that `inspect` shows.
 */
#pragma once

#include <jansson.h>

#include "ipc/violation.h"
#include "supervisor/manager/manager.h"

/* An end of an edge says that `peer`, an instance or a gateway, broke it, and how. */
void violations_by_instance(struct instance *by, uint64_t peer, unsigned reason);
void violations_by_gateway(struct gateway *by, uint64_t peer, unsigned reason);

/* On its control link, noticed by the manager itself: told; the other one also ends the worker. */
void violation_of_asking(struct instance *instance, enum violation reason);
void violation_of_link(struct instance *instance, enum violation reason);

json_t *violations_json(const struct violations *v);
