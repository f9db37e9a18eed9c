/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker as a caller on the bus: the directory, and what it asks of the
 * manager. A worker that calls nobody has none of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"
#include "ipc/directory.h"

struct bus {
        struct directory_reader *reader; /* NULL: the manager has not sent one yet */
        struct directory_table table;
        uint64_t version; /* counts the changes of `table`, over all managers; 0: there is none yet */
        uint64_t epoch;
        uint64_t next_request;
        bool prefer_near; /* [template] affinity */
        bool watching;    /* the manager will tell when the directory changes */
};

void bus_deinit(struct bus *bus);

/* Takes the descriptor of the record. */
void bus_on_directory(struct bus *bus, struct control_record *record);
void bus_on_changed(struct bus *bus);

/* At the begin of a turn: says which generation is used from now on, and moves on to the newest. */
void bus_sync(struct bus *bus);
/* Before sleeping. */
void bus_asleep(struct bus *bus);
/* Wants to be woken when the directory changes. */
void bus_watch(struct bus *bus);
/* Asks for an edge: 0 and the request's id, CONTROL_E_* or -errno. The fds stay the caller's. */
int bus_ask_edge(struct bus *bus, uint64_t instance, const int fds[2], uint64_t *ret_request);
/* The edge to it is closed: false when the manager cannot be told now. */
bool bus_released(struct bus *bus, uint64_t instance);
void bus_swept(struct bus *bus, uint32_t n_open);
void bus_timed_out(struct bus *bus, uint64_t instance);
/* Tells who broke an edge, the manager or, when that cannot be, the log: `peer` is what it is called there. */
void bus_tell_violation(uint64_t instance, enum violation reason, const char *peer);
