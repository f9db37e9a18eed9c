/* SPDX-License-Identifier: Apache-2.0
 *
 * Another process in the place of a gateway, while clients come: the new one is
 * born beside the old, accepts from the same sockets, and only then the old one
 * is told to finish what it has begun. Each place for itself, and never with more
 * than two processes.
 */
#pragma once

#include <stdint.h>

#include "ipc/control.h"

struct base;
struct role;

/* Of one place. */
struct renewal {
        struct role *next, *former; /* NULL: none is going on */
        uint64_t request, until_ns;
        int former_pid;
};

/* The manager asks for it; it is answered when the next one has the place, and again when the former process has ended. */
void renew_on_request(struct base *base, const struct control_record *record);
/* The gateway accepts connections. */
void renew_on_ready(struct base *base, struct role *gateway);
/* The gateway has died, by whatever cause. */
void renew_on_death(struct base *base, struct role *gateway);
/* Ends what takes too long. The next time that something is to be done. */
uint64_t renew_tick(struct base *base);
