/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway as a peer of the bus: the links to base and manager, the directory,
 * its own page.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"
#include "ipc/counts.h"
#include "ipc/directory.h"
#include "ipc/page.h"
#include "supervisor/gateway/net.h"

struct gateway;

struct bus {
        struct gateway *gateway;
        uint64_t self; /* instance id */
        struct net_watch base, manager;
        struct directory_reader *reader;
        struct directory_table table;
        uint64_t version; /* counts the changes of `table`, over all managers; 0: there is none yet */
        uint64_t epoch;
        uint32_t ring_size, max_message;
        bool prefer_near; /* [template] affinity */
        uint64_t next_request;
        int page_fd;
        struct page_memory *page;
        struct counts_writer *counts;
        struct counts_place *nobody; /* of requests that are no module's */
        bool watching;               /* the manager will tell when the directory changes */
        bool ended;                  /* the base is gone */
};

/* manager_link is taken. 0 or -errno. */
int bus_init(struct bus *bus, struct gateway *g, uint64_t self, int manager_link);
void bus_deinit(struct bus *bus);

/* At the begin of a turn: says which generation is used from now on, and moves on to the newest. */
void bus_sync(struct bus *bus);
/* Before sleeping. */
void bus_asleep(struct bus *bus);
/* Wants to be woken when the directory changes. */
void bus_watch(struct bus *bus);
/* Asks for an edge: 0 and the request's id, CONTROL_E_* or -errno. The fds stay the caller's. */
int bus_ask_edge(struct bus *bus, uint64_t instance, const int fds[2], uint64_t *ret_request);
/* What came of a call for an admin; fd: its result, or -1. There is room: the manager has few under way, and a result that is
 * lost ends with its deadline. */
void bus_call_result(struct bus *bus, uint64_t request, const struct control_call_result *result, int fd);
void bus_timed_out(struct bus *bus, uint64_t instance);
/* Tells who broke an edge: 0, CONTROL_E_* or -errno. */
int bus_tell_violation(struct bus *bus, uint64_t instance, enum violation reason);
void bus_publish_counters(struct bus *bus);
