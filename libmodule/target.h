/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance as a caller sees it: the edge to it and the calls that it has.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/edge.h"
#include "ipc/load.h"
#include "libmodule/bell.h"
#include "libmodule/provider.h"

enum target_state {
        TARGET_COLD,  /* no edge */
        TARGET_ASKED, /* the manager was asked for one */
        TARGET_OPEN,
};

struct target {
        struct bell bell; /* first: what epoll names */
        TAILQ_ENTRY(target) entry, in_busy;
        struct target *next_dead;
        struct provider *provider;
        uint64_t id;
        char version[64];
        uint32_t first_method, n_methods;
        bool active;  /* takes new calls, says the directory */
        bool beside;  /* only such as name its version */
        bool listed;  /* in the directory at all */
        bool busy;    /* to be looked at in this turn */
        bool pending; /* there may be something to receive */
        enum target_state state;
        uint64_t full_ns;         /* it said OVERLOADED: until then, or its next reply; 0: it has not */
        uint64_t asked;           /* id of the EDGE_REQUEST */
        uint64_t asked_ns;        /* when */
        uint64_t asked_version;   /* in which version of the directory */
        uint64_t refused_version; /* of the directory in which it refused: not asked again before there is a newer one */
        int refused;              /* with what */
        uint32_t limit;           /* enum edge_limit: why it could not be had, until retry_ns */
        uint64_t retry_ns;        /* not asked again before */
        uint64_t told_ns;         /* when the manager was told that it let a deadline pass */
        struct edge *edge;
        struct load load;
        uint64_t swept;       /* load.served, when it was last asked whether it is used */
        uint64_t n_abandoned; /* answers that may still come and that nobody waits for */
        uint64_t late_max;    /* bytes that may still come of streams that were given up */
        struct call_list sent;
};

struct target *target_new(struct provider *provider, uint64_t id);
void target_free(struct target *t); /* nothing is sent to it any more */

/* Can it take a call now? */
bool target_usable(const struct target *t);
/* May the manager be asked for an edge now? */
bool target_askable(const struct target *t, uint64_t now_ns);
void target_ask(struct target *t, uint64_t now_ns);
/* The manager's answer. Takes the fds. */
void target_open(struct target *t, int memory_fd, int bell_fd);
void target_refused(struct target *t, int error);
void target_limited(struct target *t, uint32_t limit);
void target_forget_ask(struct target *t);
/* Is nothing under way on its edge, and was nothing sent since this was asked before? */
bool target_was_unused(struct target *t);
/* Closes the edge; must have nothing in flight. */
void target_close(struct target *t);

/* Sends; the call is in t->sent or done afterwards. False: the edge is gone, the call is where it was. */
bool target_send(struct target *t, struct call *call);
/* Takes a call out of t->sent and tells the worker that it need not go on. */
void target_cancel(struct target *t, struct call *call);
/* Sends something that belongs to a call it has: as edge_send(). */
int target_put(struct target *t, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out);
/* Tells the manager, at most once a second, that a deadline has passed. */
void target_timed_out(struct target *t);

void targets_init(void);
/* Takes what came on edges whose bell rang. */
void targets_turn(void);
/* One bell for all that was sent. True: something is left to do now. */
bool targets_flush(void);
