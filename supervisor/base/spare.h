/* SPDX-License-Identifier: Apache-2.0
 *
 * The spare: a worker that the template has forked before anybody asked for
 * one. It has its number and its group, and waits for its order on a socket of
 * ours; the next FORK that comes becomes it, and is spared the fork. With it the
 * work folder of the next worker is made, and the file of the next uid.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"

struct base;
struct instance;

/* A worker was forked, or could be: another spare is wanted, once nothing was asked for a moment. */
void spare_want(struct base *base);
/* Asks the template when it is time. When to come back. */
uint64_t spare_tick(struct base *base);
/* The spare as an instance that is in no list yet and the caller's; NULL: there is none. */
struct instance *spare_take(struct base *base);
/* It is killed, and its group removed: its template is not the one of the next worker. */
void spare_drop(struct base *base);

/* The template's answers; false: not about the spare. */
bool spare_on_forked(struct base *base, struct control_record *record);
bool spare_on_refused(struct base *base, const struct control_fork_failed *refused);
