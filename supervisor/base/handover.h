/* SPDX-License-Identifier: Apache-2.0
 *
 * What a role is given at its birth, and what it is told of the others.
 */
#pragma once

#include <stdint.h>

struct base;
struct role;

/* HELLO and what belongs to the role; sets up the links between roles. 0 or -errno. */
int handover_manager(struct base *base, struct role *role);
int handover_installer(struct base *base, struct role *role);
int handover_gateway(struct base *base, struct role *role);
int handover_template(struct base *base, struct role *role);

/* A gateway of that place has died: who waits in its sockets is accepted by the one that serves there now, else by another one,
 * also in those that others accept from: it may be the dead one alone that was woken for him. */
void handover_orphans(struct base *base, uint32_t index);
