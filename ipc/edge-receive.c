/* SPDX-License-Identifier: Apache-2.0
 *
 * Records into messages. Reassembly is in private memory that grows with what has
 * come, never by a size that somebody declared.
 *
 * Work is bounded: who counts the messages that he takes of an edge in one turn
 * counts on us for the rest: of records that come to nothing (pads, beginnings
 * that are cancelled, pieces) we take only so many bytes from one EDGE_E_EMPTY to
 * the next, however large a ring the peer has made. So a peer that writes as fast
 * as we read does not keep us from others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/edge-internal.h"
#include "ipc/shared.h"

#define FRUITLESS_MAX (64u << 10)
#define SCRATCH_MIN 256u
#define SCRATCH_KEPT 4096u

/* A message under reassembly. */
struct partial {
        struct partial *next;
        struct frame frame;
        uint8_t *data;
        uint32_t size, room;
};

static void partial_free(struct edge *edge, struct partial **link) {
        struct partial *p = *link;

        *link = p->next;
        edge->n_partials--;
        edge->partial_bytes -= p->size;
        free(p->data);
        free(p);
}

void partials_deinit(struct edge *edge) {
        while (edge->partials)
                partial_free(edge, &edge->partials);
        free(edge->scratch);
        free(edge->delivered);
}

uint64_t edge_partial_room(const struct edge *edge) {
        uint64_t room = 0;

        for (const struct partial *p = edge->partials; p; p = p->next)
                room += p->room;
        return room;
}

static struct partial **partial_find(struct edge *edge, uint64_t correlation) {
        struct partial **link = &edge->partials;

        while (*link && (*link)->frame.correlation != correlation)
                link = &(*link)->next;
        return link;
}

/* The record is taken and cannot be put back: what comes after it would be a message with a hole. */
static int partial_lost(struct edge *edge) {
        edge_poison(edge, VIOLATION_NO_MEMORY);
        return -ENOMEM;
}

static int partial_append(struct edge *edge, struct partial *p, const uint8_t *payload, uint32_t size) {
        if (size > edge->limits.max_message - p->size)
                return edge_poison(edge, VIOLATION_MESSAGE_SIZE);
        if (edge->partial_bytes + size > edge->limits.max_partial)
                return edge_poison(edge, VIOLATION_UNFINISHED_SIZE);
        if (p->size + size > p->room) {
                uint64_t room = MIN(MAX((uint64_t)p->room * 2, (uint64_t)p->size + size), (uint64_t)edge->limits.max_message);
                uint8_t *grown = realloc(p->data, room);

                if (!grown)
                        return partial_lost(edge);
                p->data = grown;
                p->room = (uint32_t)room;
        }
        if (!size)
                return 0;
        shared_copy_out(p->data + p->size, payload, size);
        p->size += size;
        edge->partial_bytes += size;
        return 0;
}

static int partial_begin(struct edge *edge, const struct frame *frame, const uint8_t *payload, uint32_t size) {
        struct partial *p;
        int r;

        if (*partial_find(edge, frame->correlation) || edge->n_partials == PARTIALS_MAX)
                return edge_poison(edge, VIOLATION_UNFINISHED);
        p = calloc(1, sizeof(*p));
        if (!p)
                return partial_lost(edge);
        p->frame = *frame;
        p->next = edge->partials;
        edge->partials = p;
        edge->n_partials++;
        r = partial_append(edge, p, payload, size);
        return r ? r : EDGE_E_EMPTY;
}

static int partial_continue(struct edge *edge, const struct frame *frame, const uint8_t *payload, uint32_t size, struct edge_message *ret) {
        struct partial **link = partial_find(edge, frame->correlation);
        int r;

        if (!*link)
                return edge_poison(edge, VIOLATION_FRAGMENT);
        r = partial_append(edge, *link, payload, size);
        if (r || frame->kind == FRAME_DATA)
                return r ? r : EDGE_E_EMPTY;
        free(edge->delivered);
        edge->delivered = TAKE_PTR((*link)->data);
        *ret = (struct edge_message){ .frame = (*link)->frame, .payload = edge->delivered, .size = (*link)->size };
        ret->frame.flags &= (uint8_t)~FRAME_MORE;
        partial_free(edge, link);
        return 0;
}

/* Receiving ---------------------------------------------------------------------------------------------------------- */

/* A message in one record: its payload stays in memory that grows with the records, for the next one too. */
static int take_whole(struct edge *edge, const struct frame *frame, const uint8_t *payload, uint32_t size, struct edge_message *ret) {
        if (size > edge->scratch_room || !edge->scratch) {
                uint32_t room = SCRATCH_MIN;

                while (room < size)
                        room *= 2;
                free(edge->scratch);
                edge->scratch = malloc(room);
                edge->scratch_room = edge->scratch ? room : 0;
                if (!edge->scratch)
                        return partial_lost(edge);
        }
        if (size)
                shared_copy_out(edge->scratch, payload, size);
        *ret = (struct edge_message){ .frame = *frame, .payload = edge->scratch, .size = size };
        return 0;
}

/* What a record means. 0: a message is whole; EDGE_E_EMPTY: go on. */
static int take_record(struct edge *edge, const struct frame *frame, const uint8_t *payload, uint32_t size, struct edge_message *ret) {
        struct partial **link;

        if (frame->kind == FRAME_PAD)
                return EDGE_E_EMPTY;
        if ((frame->kind == FRAME_DATA || frame->kind == FRAME_END) && !(frame->flags & FRAME_STREAM))
                return partial_continue(edge, frame, payload, size, ret);
        if (frame->flags & FRAME_MORE)
                return partial_begin(edge, frame, payload, size);
        if (size > edge->limits.max_message)
                return edge_poison(edge, VIOLATION_MESSAGE_SIZE);
        if (frame->kind == FRAME_CANCEL) {
                link = partial_find(edge, frame->correlation);
                if (*link) {
                        partial_free(edge, link);
                        return EDGE_E_EMPTY;
                }
        }
        return take_whole(edge, frame, payload, size, ret);
}

/* Nothing to take now. The end is told only when all that the peer had published before it is taken. */
static int receive_empty(struct edge *edge) {
        edge->fruitless = 0;
        if (edge->scratch_room > SCRATCH_KEPT) {
                edge->scratch = (free(edge->scratch), NULL);
                edge->scratch_room = 0;
        }
        ring_return_credit(edge);
        return edge->ended && edge->peer_tail == edge->head ? EDGE_E_CLOSED : EDGE_E_EMPTY;
}

int edge_receive(struct edge *edge, struct edge_message *ret_message) {
        struct edge_message message;
        uint64_t fruitless_max = MIN(edge->peer_size, (uint64_t)FRUITLESS_MAX);
        const uint8_t *payload = NULL;
        struct frame frame;
        uint32_t size;
        int r;

        if (edge->poison)
                return EDGE_E_POISONED;
        if (!edge->peer)
                return EDGE_E_EMPTY;
        edge->delivered = (free(edge->delivered), NULL);
        for (;;) {
                uint64_t before = edge->head;

                r = edge->fruitless >= fruitless_max ? EDGE_E_EMPTY : ring_take(edge, &frame, &payload, &size);
                if (r == EDGE_E_EMPTY)
                        return receive_empty(edge);
                if (r)
                        return r;
                r = take_record(edge, &frame, payload, size, &message);
                if (edge->head - edge->returned >= edge->peer_size / 4)
                        ring_return_credit(edge);
                if (r == EDGE_E_EMPTY) {
                        edge->fruitless += frame.kind == FRAME_PAD ? FRAME_SIZE : edge->head - before;
                        continue;
                }
                if (r)
                        return r;
                message.position = edge->head;
                *ret_message = message;
                return 0;
        }
}

uint8_t *edge_message_take(struct edge *edge, struct edge_message *message) {
        uint8_t *copy;

        if (message->payload == edge->delivered && edge->delivered)
                return TAKE_PTR(edge->delivered);
        copy = malloc(message->size ? message->size : 1);
        if (copy && message->size)
                memcpy(copy, message->payload, message->size);
        return copy;
}
