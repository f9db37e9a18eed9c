/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of an instance share: instance.c (the edge), instance-requests.c
 * (what it was sent), instance-replies.c (what it sends).
 */
#pragma once

#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/upstream.h"

/* instance.c: takes what is on its edge in the next turn. */
void instance_ring(struct instance *i);
/* A refusal is of the directory in which it was asked: who has gone and come again since is asked again. */
void instance_refuses_in(struct instance *i, uint64_t version);
/* What a module makes us keep is counted with who made us. */
void instance_charge(struct instance *i);
/* The edge has ended with EDGE_E_CLOSED, EDGE_E_POISONED or -errno. */
void instance_lost(struct instance *i, int result);

/* instance-requests.c: it has the request no longer. */
void instance_remove(struct instance *i, struct request *request);
/* What the worker had begun, up to this position, is answered for it, the rest goes back to the queue in its order. */
void instance_give_up(struct instance *i, uint64_t accepted, int error);

/* instance-replies.c: a reply may have been published just before the end, which is returned. */
int instance_receive_last(struct instance *i);
