/* SPDX-License-Identifier: Apache-2.0
 *
 * Gateways as bus peers, and the negotiation of edges: the manager passes sealed
 * memory from one peer to the other and never maps it.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* As the base calls it, and status: "gateway", "gateway-2". */
#define GATEWAY_NAME_SIZE 24
const char *gateway_name(const struct gateway *gateway, char text[static GATEWAY_NAME_SIZE]);
/* Takes the link. One of the same index is on its way out. */
void gateway_new(struct manager *manager, uint32_t index, uint64_t id, int link);
/* The directory has changed: tells those who asked. */
void peers_changed(struct manager *manager);
/* Does the manifest of the one allow a call of the other? */
bool edges_may_call(const struct instance *caller, const struct instance *target);
/* An instance asks for an edge to another. */
void edges_on_request(struct manager *manager, struct instance *caller, struct control_record *record);
void edges_on_watch(struct manager *manager, struct instance *instance, uint64_t generation);
/* Sends the directory to an instance that calls others; to all of them and the gateways, when there is one. */
void directory_offer(struct manager *manager, struct instance *instance);
void directory_offer_all(struct manager *manager);

void edges_on_accept(struct manager *manager, struct instance *instance, uint64_t edge, const int fds[2]);
/* The caller has closed its edge to that instance. */
void edges_on_released(struct manager *manager, struct instance *caller, uint64_t target);
/* A worker wants to pass files to that gateway: both get one end of a pair. */
void edges_on_file_channel(struct manager *manager, struct instance *instance, uint64_t gateway, uint64_t request);
void edges_on_reject(struct manager *manager, struct instance *instance, uint64_t edge, int error);
/* It takes no new ones: who waits for one is answered MOVED, and so will be who asks. */
void edges_refuse_new(struct manager *manager, struct instance *instance);
/* May that gateway have one to it, as far as is known? */
bool edges_reach(const struct gateway *gateway, const struct instance *instance);
/* The instance is going: what it was asked for is refused, what it asked for is forgotten. */
void edges_forget(struct manager *manager, struct instance *instance, int error);
