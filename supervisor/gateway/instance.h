/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker as the gateway sees it: the edge to it and the requests that it has.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/edge.h"
#include "ipc/load.h"
#include "supervisor/gateway/gateway.h"

enum instance_state {
        INSTANCE_COLD,  /* no edge */
        INSTANCE_ASKED, /* the manager was asked for one */
        INSTANCE_OPEN,
};

struct instance {
        TAILQ_ENTRY(instance) entry, in_rung, in_unflushed;
        struct instance *next_dead;
        struct upstream *upstream;
        uint64_t id;
        uint32_t first_method, n_methods; /* run in the directory's methods[] */
        bool active;                      /* takes new requests, says the directory */
        bool beside;                      /* only such as name its version */
        bool listed;                      /* in the directory at all */
        char version[64];
        bool rung, unflushed;
        uint64_t full_ns; /* it said OVERLOADED then, and has replied to nobody since; 0: it has not */
        enum instance_state state;
        uint64_t asked;           /* id of the EDGE_REQUEST */
        uint64_t asked_ns;        /* when */
        uint64_t asked_version;   /* in which version of the directory */
        uint64_t refused_version; /* of the directory in which it refused: not asked again before there is a newer one */
        uint64_t retry_ns;        /* not asked again before */
        uint64_t told_ns;         /* when the manager was told that it let a deadline pass */
        uint64_t warned_ns;       /* when a malformed reply was last logged */
        struct edge *edge;
        struct net_watch bell;
        int files_fd;         /* the channel beside the edge; -1: there is none (yet) */
        uint64_t n_files_due; /* that may still come: one for each request, and some that are late */
        uint32_t n_files;     /* that requests in `sent` keep */
        uint64_t n_partial;   /* bytes of its replies that are not whole: its part of gateway->n_partial */
        uint64_t n_abandoned; /* answers that may still come and that nobody waits for */
        uint64_t late_max;    /* bytes of streams, likewise */
        struct load load;
        uint64_t swept; /* load.served, when it was last asked whether it is used */
        struct request_list sent;
};

struct instance *instance_new(struct upstream *u, uint64_t id);
void instance_free(struct instance *i); /* nothing is sent to it any more */

/* Can it take a request now? */
bool instance_usable(const struct instance *i);
/* May the manager be asked for an edge now? */
bool instance_askable(const struct instance *i);
void instance_ask(struct instance *i);
/* The manager's answer. Takes the fds. False: there is no edge. */
bool instance_open(struct instance *i, int memory_fd, int bell_fd);
void instance_refused(struct instance *i, int error);
void instance_forget_ask(struct instance *i);
/* Is nothing under way on its edge, and was nothing sent since this was asked before? */
bool instance_was_unused(struct instance *i);
/* Closes the edge; must have nothing in flight. */
void instance_close(struct instance *i);

/* Sends; the request is in i->sent afterwards. False: the edge is gone, the request is where it was. */
bool instance_send(struct instance *i, struct request *request);
/* Sends something that belongs to a request that it has: as edge_send(). */
int instance_put(struct instance *i, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out);
/* Takes a request out of i->sent and tells the worker when it need not go on. */
void instance_cancel(struct instance *i, struct request *request);
/* Tells the manager, at most once a second, that a deadline has passed. */
void instance_timed_out(struct instance *i);

/* Takes what came on edges whose bell rang. */
void instances_turn(struct gateway *g);
/* As long as unfinished replies are more than may be, who makes us keep most of them loses its edge. */
void instances_relieve(struct gateway *g);
/* One bell for all that was sent in this turn. */
void instances_flush(struct gateway *g);
void instances_free_dead(struct gateway *g);
