/* SPDX-License-Identifier: Apache-2.0
 *
 * Records to bus peers (gateways, workers) whose links do not take them at once:
 * they wait here, in order, and not without bound.
 */
#pragma once

#include <stdint.h>

#include "ipc/control.h"

struct event_base;

#define OUTBOX_MAX 1024 /* records that wait for one peer; each may hold two descriptors */

/* Before anything is sent. */
void outbox_start(struct event_base *loop);
/* Sends or keeps (duplicates of) everything. 0, CONTROL_E_CLOSED, or -errno: -ENOBUFS when too many wait. */
int outbox_send(int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds, uint32_t n_fds);
/* The link is about to be closed. */
void outbox_forget(int link);
