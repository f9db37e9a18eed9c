/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of an edge, shared by the four files that it is made of; nobody
 * else includes this. Positions and lists are private memory: of the peer's only
 * what edge-ring.c has loaded and checked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/edge-layout.h"
#include "ipc/edge.h"

#define PARTIALS_MAX 64u /* messages of a peer under way: each further record is looked up among them */

struct partial;

struct outgoing_list {
        struct edge_outgoing *first, **end;
};

struct edge {
        struct edge_limits limits;
        enum violation poison; /* the first one */
        bool hung_up;
        bool ended; /* its tail was read after that, for the last time */

        /* own side */
        struct edge_side *own;
        uint8_t *own_data;
        int memory_fd; /* until edge_local_sent() */
        int bell_read; /* likewise: the peer's end of the bell that we ring */
        int bell_write;
        uint64_t tail; /* private; own->tail is what is published */
        uint64_t published;
        uint64_t peer_head; /* cached */
        uint32_t rung, waiting;
        uint32_t n_asked; /* bells that the peer was asked for since those that came were read */

        /* the peer's side */
        const struct edge_side *peer;
        const uint8_t *peer_data;
        uint64_t peer_size; /* of its ring */
        uint64_t peer_map_size;
        int wait_fd;
        uint64_t head; /* consumed; own->head is what is returned */
        uint64_t returned;
        uint64_t peer_tail; /* cached */
        uint32_t armed, waiting_rung;
        uint32_t cpu; /* as own->cpu */

        /* messages to be sent: edge-send.c */
        uint32_t record_max;        /* payload of one record */
        struct outgoing_list queue; /* messages whose records go out in turn */
        struct outgoing_list held;  /* large ones behind the `large_max` of the queue */
        uint32_t n_large, large_max;

        /* messages received: edge-receive.c */
        struct partial *partials;
        uint32_t n_partials;
        uint64_t partial_bytes;
        uint64_t fruitless; /* bytes of records that ended no message since the last EDGE_E_EMPTY */
        uint8_t *scratch;   /* payload of one record */
        uint32_t scratch_room;
        uint8_t *delivered; /* reassembled payload, valid until the next receive */
};

/* edge.c */
int edge_ring_bell(struct edge *edge);

/* edge-ring.c: one record, whole or not at all, behind the private tail. 0, EDGE_E_FULL, EDGE_E_POISONED. */
int ring_put(struct edge *edge, const struct frame *frame, const void *payload, uint32_t size);
/* Publishes, and asks the peer for a bell when it has made room. 0: it has made some after all; EDGE_E_FULL: wait for the
 * bell; EDGE_E_*. */
int ring_wait_for_room(struct edge *edge);
void ring_wait_no_more(struct edge *edge);
/* The next record, a pad too: its header copied out and checked, position advanced. The payload is to be copied out of the
 * ring, once, before credit is returned. 0, EDGE_E_EMPTY, EDGE_E_POISONED. */
int ring_take(struct edge *edge, struct frame *frame, const uint8_t **ret_payload, uint32_t *ret_size);
/* Tells the peer how far its ring has been read, and rings if it waits for that. 0 or EDGE_E_CLOSED. */
int ring_return_credit(struct edge *edge);

/* edge-send.c: puts what fits of what is queued, a record of each message in turn, and publishes it. 0 or EDGE_E_*. */
void queue_init(struct edge *edge);
void queue_deinit(struct edge *edge);
int queue_pump(struct edge *edge);

/* edge-receive.c */
void partials_deinit(struct edge *edge);
