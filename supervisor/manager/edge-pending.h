/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges between EDGE_REQUEST and EDGE_ACCEPT, see edge-pending.c.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Who asks: `from` or `caller`. */
int pending_link(const struct pending_edge *p);
void edge_refuse(int link, uint64_t request, uint64_t target, int error, enum edge_limit limit);

/* May it be offered another edge now? 0 or an error_code. */
int pending_room(struct instance *target);
/* It has been offered. Takes p: edge, request, who asks and target are filled in. */
void pending_add(struct manager *manager, struct pending_edge *p);
/* It answers for this edge. NULL: nobody waits for it any more. What is returned is to be freed. */
struct pending_edge *pending_answered(struct manager *manager, struct instance *target, uint64_t edge);
void pending_free(struct manager *manager, struct pending_edge *p);

/* Who asks does not wait any more: for this target, or (NULL) for anybody. */
void pending_forget(struct manager *manager, const struct pending_edge *ask, const struct instance *target);
/* The target is gone: who waits for it is refused. */
void pending_refuse(struct manager *manager, const struct instance *target, int error);
