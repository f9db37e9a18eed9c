/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening sockets, and how many connections may be open: when there is no
 * room for one more, nothing is accepted, and the kernel's backlog holds who comes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"
#include "ipc/deadlines.h"
#include "supervisor/gateway/net.h"

struct gateway;

struct listeners {
        struct gateway *gateway;
        struct listener {
                struct net_listener net;
                bool proxy; /* each connection begins with a PROXY header */
        } items[CONTROL_LISTENERS_MAX];
        uint32_t n, clients_max;
        bool open; /* accepting was begun: there is a directory */
        bool full;
        uint64_t told_ns; /* when a failure was logged */
        struct deadline retry;
};

/* Raises RLIMIT_NOFILE to what is allowed and divides it. 0 or -errno. */
int listeners_init(struct listeners *l, struct gateway *gateway);
void listeners_deinit(struct listeners *l);
/* Takes the fd. flags: enum listener_flags. */
void listeners_add(struct listeners *l, int fd, uint32_t flags);
/* Accepts those who wait in a dead gateway's socket, and closes the fd: who comes now is given to the living. */
void listeners_rescue(struct listeners *l, int fd, uint32_t flags);
/* Begins to accept. Whether it did not already. */
bool listeners_open(struct listeners *l);
/* Accepts no more; who connects waits for the next gateway. */
void listeners_close(struct listeners *l);
/* A connection was closed: there is room. */
void listeners_room(struct listeners *l);
