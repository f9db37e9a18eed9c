/* SPDX-License-Identifier: Apache-2.0
 *
 * Gateways as bus peers, and the negotiation of edges: the manager passes sealed
 * memory from one peer to the other and never maps it.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Takes the link. A gateway of the same index is replaced. */
void gateway_new(struct manager *manager, uint32_t index, uint64_t id, int link);
/* The directory has changed: tells those who asked. */
void gateways_changed(struct manager *manager);
/* Sends the directory to a peer (a worker's or a gateway's link). */
void directory_send(struct manager *manager, int link);

void edges_on_accept(struct manager *manager, struct instance *instance, uint64_t edge, const int fds[2]);
void edges_on_reject(struct manager *manager, struct instance *instance, uint64_t edge, int error);
/* The instance is going: its pending edges are refused. */
void edges_forget(struct manager *manager, struct instance *instance, int error);
