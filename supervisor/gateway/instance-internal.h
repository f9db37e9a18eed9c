/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of an instance share: instance.c (the edge, the turn),
 * instance-requests.c (what it was sent), instance-replies.c (what it sends).
 */
#pragma once

#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/upstream.h"

/* instance.c: takes what is on its edge in the next turn. */
void instance_ring(struct instance *i);
/* A refusal is of the directory in which it was asked: who has gone and come again since is asked again. */
void instance_refuses_in(struct instance *i, uint64_t version);
/* The edge has ended with EDGE_E_CLOSED, EDGE_E_POISONED or -errno. */
void instance_lost(struct instance *i, int result);

/* instance-requests.c: it has the request no longer. */
void instance_remove(struct instance *i, struct request *request);
/* What the worker had begun, up to this position, is answered for it, the rest goes back to the queue in its order. */
void instance_give_up(struct instance *i, uint64_t accepted, int error);

/* instance-replies.c: 0, EDGE_E_POISONED or -errno. */
int instance_on_message(struct instance *i, struct edge_message *message);
