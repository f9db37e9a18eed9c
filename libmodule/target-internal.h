/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a target share: target.c (the edge, the turn), target-calls.c
 * (what it was sent), target-answers.c (what it sends).
 */
#pragma once

#include "libmodule/target.h"

/* target.c: it is looked at in this turn, or the next. */
void target_want_turn(struct target *t);
/* A refusal is of the directory in which it was asked: who has gone and come again since is asked again. */
void target_refuses_in(struct target *t, uint64_t version);
/* The edge has ended with EDGE_E_CLOSED, EDGE_E_POISONED or -errno. */
void target_lost(struct target *t, int result);

/* target-calls.c: it has the call no longer. */
void target_remove(struct target *t, struct call *call);
/* What the worker had begun, up to this position, ends or is repeated once, the rest goes back to the queue in its order. */
void target_give_up(struct target *t, uint64_t accepted, bool poisoned);

/* target-answers.c: 0, EDGE_E_POISONED or -errno. */
int target_on_message(struct target *t, struct edge_message *m);
