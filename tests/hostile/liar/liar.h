/* SPDX-License-Identifier: Apache-2.0
 *
 * The lying worker: what its lies stand on. Behind the SDK's back it owns the
 * control link and speaks on its edges itself, with the edges' own code where it
 * is honest, and with that code's private memory where it is not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/control.h"
#include "ipc/edge-internal.h"

#define LIAR_RING (256u << 10)

struct order {
        char lie[48];
        uint64_t target; /* instance to be lied to over an edge that is made for it; 0: who gives the order */
        uint32_t n;      /* how often, or how many ms */
};

/* An edge and whom it leads to. */
struct peer {
        TAILQ_ENTRY(peer) entry;
        struct edge *edge;
        uint64_t id, asked; /* the instance; id of the EDGE_REQUEST that waits for READY */
        uint64_t opened;    /* id of the edge */
        int files;          /* the channel beside the edge; -1: there is none */
        int kept_bell;      /* the end of our bell that the other one holds, too */
        bool is_open, deaf; /* deaf: it is not read any more */
        /* the order to be carried out when it is open, and who is to be answered then */
        struct order order;
        struct peer *told_by;
        struct frame told_with;
};

struct liar {
        int link, sdk;   /* to the manager; to the SDK, which takes it for the manager */
        bool deaf;       /* the link is not read any more */
        char attach[48]; /* the lie of the next edges' memory or doorbell; "": none */
        TAILQ_HEAD(, peer) peers;
        uint64_t next_request;
};
extern struct liar liar;

/* liar.c */
void peer_reply(struct peer *peer, const struct frame *request, int status, const char *text);
void peer_close(struct peer *peer);
/* Who has it by heart answers at once whom it was told by: 200, or what the other one said. */
void order_done(struct peer *peer, int status, const char *text);

/* raw.c: records as they are told, and what is done with them */
void raw_put(struct edge *edge, struct frame frame, const void *payload, uint32_t size);
void raw_publish(struct edge *edge);
void raw_tail(struct edge *edge, uint64_t tail);
void raw_ring(struct edge *edge);
bool raw_wait_for_room(struct edge *edge, uint32_t size);
uint64_t now_ms(void);
void sleep_ms(uint32_t ms);

/* lies-*.c. False: no such lie. `request` is what the order came with, or what an honest caller would send. */
bool lie_on_edge(struct peer *peer, const struct order *order, const struct frame *request);
bool lie_on_link(struct peer *peer, const struct order *order, const struct frame *request);
/* Of files: told when the channel is open. */
bool lie_about_file(struct peer *peer, const struct order *order, const struct frame *request);
void on_file_channel(struct peer *peer);
/* Replaces one of the two descriptors by another, when there is such a lie. */
void lie_of_memory(const char *lie, struct edge *edge, int fds[2]);
