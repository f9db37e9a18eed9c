/* SPDX-License-Identifier: Apache-2.0
 *
 * An edge connects two processes: one ring each way, each in memory that its
 * writer owns and the reader can only read. The protocol is told at the top of edge-ring.c.
 *
 * Life: edge_new() -> send edge_local_fds() to the peer -> edge_attach() with
 * what the peer sent -> edge_send()/edge_receive() -> edge_free().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/frame-layout.h"
#include "ipc/violation.h"

enum {
        _EDGE_E_SUCCESS,
        EDGE_E_FULL,      /* no room now: the message is queued and on_sent will be called */
        EDGE_E_EMPTY,     /* nothing to receive now */
        EDGE_E_POISONED,  /* the peer broke the protocol; the edge is of no further use */
        EDGE_E_CLOSED,    /* the peer's process or its end is gone */
        EDGE_E_TOO_LARGE, /* larger than max_message */
};

struct edge;

/* A message received: header copied and checked, payload reassembled in private memory.
 * `payload` belongs to the edge and is valid until the next edge_receive() on it, unless taken
 * with edge_message_take(). */
struct edge_message {
        struct frame frame; /* of the first fragment */
        const uint8_t *payload;
        uint32_t size;
        uint64_t position; /* ring position behind its last record: see edge_accept() */
};

/* A message that did not fit at once. Owned by the caller, who keeps it and `payload` valid until
 * on_sent was called or edge_cancel() returned. Zero-initialise; set on_sent and userdata. */
struct edge_outgoing {
        void (*on_sent)(struct edge_outgoing *out, int result); /* 0, or EDGE_E_* / -errno when it never will be */
        void *userdata;
        /* private to edge-send.c */
        struct frame frame;
        const uint8_t *payload;
        uint32_t size, sent;
        struct edge_outgoing *next, **link;
        bool held; /* waits until another large message is through */
        struct edge *edge;
};

/* Limits of one edge. */
struct edge_limits {
        uint32_t ring_size;   /* of the own outgoing ring, power of two */
        uint32_t max_message; /* bytes of payload, both ways */
        uint64_t max_partial; /* bytes of messages under reassembly */
};
#define EDGE_LIMITS_DEFAULT ((struct edge_limits){ .ring_size = 128 << 10, .max_message = 16u << 20, .max_partial = 64u << 20 })

/* Creates the own half: memory and the doorbell pipe that this side rings. 0 or -errno. */
int edge_new(struct edge **ret_edge, const struct edge_limits *limits);
struct edge *edge_free(struct edge *edge); /* queued messages get on_sent(EDGE_E_CLOSED) */

/* The two descriptors for the peer: [0] the sealed memory, [1] the read end of the doorbell.
 * Valid until edge_local_sent(), which closes them here (the peer then holds the only read end,
 * so that its death is seen as EPIPE). */
void edge_local_fds(struct edge *edge, int ret_fds[2]);
void edge_local_sent(struct edge *edge);

/* Takes the peer's two descriptors (always consumed, also on error). 0, -errno or EDGE_E_POISONED
 * when the memory is not what it must be. */
int edge_attach(struct edge *edge, int memory_fd, int doorbell_fd);

/* The descriptor to wait on: add it with EPOLLIN | EPOLLET; EPOLLHUP on it means that the peer is gone. */
int edge_wait_fd(const struct edge *edge);

/* Sends a message: the frame's length is filled in; larger payloads are split. 0 when all of it is
 * in the ring (not yet rung: edge_flush()), EDGE_E_FULL when `out` was queued, else another
 * EDGE_E_* or -errno with nothing sent. With out == NULL a message that does not fit is refused
 * with EDGE_E_FULL and nothing of it is sent. */
int edge_send(struct edge *edge, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out);
void edge_cancel(struct edge_outgoing *out); /* a started message is ended as cancelled for the peer */
/* Tells the peer that nobody waits for an answer to what was sent; it goes out when there is room. 0 or EDGE_E_* / -ENOMEM. */
int edge_send_cancel(struct edge *edge, uint64_t correlation);
/* The largest payload that goes out as one record. */
uint32_t edge_record_max(const struct edge *edge);

/* Publishes what was sent and rings the peer's bell if it sleeps: one bell for a batch. 0 or EDGE_E_*. */
int edge_flush(struct edge *edge);

/* The next whole message. 0, EDGE_E_EMPTY, EDGE_E_POISONED, EDGE_E_CLOSED or -errno (-ENOMEM). */
int edge_receive(struct edge *edge, struct edge_message *ret_message);
/* Takes the payload out as a malloc'ed buffer of its own; NULL when out of memory. */
uint8_t *edge_message_take(struct edge *edge, struct edge_message *message);
/* Says, before a request's handler begins, that it has begun: what lies behind may be retried elsewhere. */
void edge_accept(struct edge *edge, const struct edge_message *message);
/* For a caller after the peer's death: has it begun what was sent up to this position? */
uint64_t edge_sent_position(const struct edge *edge);
uint64_t edge_peer_accepted(const struct edge *edge);

/* After a bell: drains it, sends what was queued and now fits. Then call edge_receive() until EMPTY. 0 or EDGE_E_*. */
int edge_on_bell(struct edge *edge);
/* The same for who waits edge-triggered and knows whether EPOLLHUP was among what came: mostly it leaves the bells where they are. */
int edge_on_event(struct edge *edge, bool ended);
/* Before sleeping: arms the bell and looks once more. True when it is safe to sleep, false when
 * there is something to receive or to send (go round again). Only needed after a bell rang or at start. */
bool edge_arm(struct edge *edge);

/* The CPU that the peer says it ran on when it last went to sleep; -1: not known. A hint, and only that: it may lie. */
int edge_peer_cpu(const struct edge *edge);

bool edge_is_idle(const struct edge *edge);              /* nothing queued, nothing under reassembly */
bool edge_is_lost(const struct edge *edge);              /* the peer has gone or broken the protocol: what is queued will never be sent */
uint64_t edge_partial_room(const struct edge *edge);     /* bytes of memory that messages under reassembly take */
enum violation edge_violation(const struct edge *edge);  /* that poisoned it, or VIOLATION_NONE */
const char *edge_poison_reason(const struct edge *edge); /* its text or NULL */

/* For what only the receiver of messages can see: the edge is of no further use. The first reason stays. EDGE_E_POISONED. */
int edge_poison(struct edge *edge, enum violation reason);
