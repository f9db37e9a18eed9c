/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages into records. Large ones are cut into records of at most a quarter
 * ring: the first has FRAME_MORE, DATA records follow, END is the last. Records
 * of several messages interleave (one record each in turn), so a large one does
 * not block the rest; of large ones only so many are under way as the peer may
 * hold unfinished (max_partial), the others are held back.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ipc/cleanup.h"
#include "ipc/edge-internal.h"

/* The queue ---------------------------------------------------------------------------------------------------------- */

static uint32_t large_max(const struct edge_limits *limits) {
        uint64_t n = limits->max_partial / MAX(limits->max_message, 1u);

        return (uint32_t)MAX(MIN(n, (uint64_t)PARTIALS_MAX), UINT64_C(1));
}

void queue_init(struct edge *edge) {
        edge->record_max = edge->limits.ring_size / 4 - FRAME_SIZE;
        edge->large_max = large_max(&edge->limits);
        edge->queue.end = &edge->queue.first;
        edge->held.end = &edge->held.first;
}

static void list_append(struct outgoing_list *list, struct edge_outgoing *out) {
        out->next = NULL;
        out->link = list->end;
        *list->end = out;
        list->end = &out->next;
}

static void list_remove(struct outgoing_list *list, struct edge_outgoing *out) {
        assert(out->link);
        *out->link = out->next;
        if (out->next)
                out->next->link = out->link;
        else
                list->end = out->link;
        out->next = NULL;
        out->link = NULL;
}

static bool outgoing_is_large(const struct edge *edge, const struct edge_outgoing *out) {
        return out->size > edge->record_max;
}

static void outgoing_add(struct edge *edge, struct edge_outgoing *out) {
        bool large = outgoing_is_large(edge, out);

        out->edge = edge;
        out->held = large && edge->n_large >= edge->large_max;
        if (large && !out->held)
                edge->n_large++;
        list_append(out->held ? &edge->held : &edge->queue, out);
}

static void outgoing_drop(struct edge *edge, struct edge_outgoing *out) {
        struct edge_outgoing *next = edge->held.first;

        list_remove(out->held ? &edge->held : &edge->queue, out);
        out->edge = NULL;
        if (out->held || !outgoing_is_large(edge, out))
                return;
        edge->n_large--;
        if (next) {
                list_remove(&edge->held, next);
                outgoing_add(edge, next);
        }
}

/* Nothing is held back when the queue is empty: whatever leaves it lets the next large one in. */
void queue_deinit(struct edge *edge) {
        struct edge_outgoing *out;

        while ((out = edge->queue.first)) {
                outgoing_drop(edge, out);
                if (out->on_sent)
                        out->on_sent(out, EDGE_E_CLOSED);
        }
}

/* Sending ------------------------------------------------------------------------------------------------------------ */

/* One record of a message. 0 when it was put (out->sent says how far), else EDGE_E_*. */
static int outgoing_step(struct edge *edge, struct edge_outgoing *out) {
        uint32_t left = out->size - out->sent, n = MIN(left, edge->record_max);
        struct frame frame = out->frame;
        int r;

        if (out->sent) {
                frame = (struct frame){ .kind = n == left ? FRAME_END : FRAME_DATA, .correlation = out->frame.correlation };
        } else if (n < left) {
                frame.flags |= FRAME_MORE;
        }
        r = ring_put(edge, &frame, out->payload ? out->payload + out->sent : NULL, n);
        if (r)
                return r;
        out->sent += n;
        /* The peer begins to take a long message while we go on with it. */
        return n < left ? edge_flush(edge) : 0;
}

int queue_pump(struct edge *edge) {
        struct edge_outgoing *out;
        int r;

        while ((out = edge->queue.first)) {
                r = outgoing_step(edge, out);
                if (r == EDGE_E_FULL) {
                        r = ring_wait_for_room(edge);
                        if (r)
                                return r == EDGE_E_FULL ? 0 : r;
                        continue;
                }
                if (r)
                        return r;
                if (out->sent < out->size) {
                        list_remove(&edge->queue, out);
                        list_append(&edge->queue, out);
                        continue;
                }
                outgoing_drop(edge, out);
                if (out->on_sent)
                        out->on_sent(out, 0);
        }
        ring_wait_no_more(edge);
        return edge_flush(edge);
}

int edge_send(struct edge *edge, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out) {
        struct edge_outgoing now = { 0 };
        int r;

        if (edge->poison)
                return EDGE_E_POISONED;
        if (edge->hung_up || !edge->peer)
                return EDGE_E_CLOSED;
        if (size > edge->limits.max_message)
                return EDGE_E_TOO_LARGE;
        now.frame = *frame;
        now.frame.flags &= (uint8_t)~FRAME_MORE; /* ours to set */
        now.payload = payload;
        now.size = size;
        /* Without `out` it is all or nothing: one record, or none. */
        if (!out && (edge->queue.first || size > edge->record_max))
                return EDGE_E_FULL;
        while (!edge->queue.first) {
                r = outgoing_step(edge, &now);
                if (!r && now.sent == now.size)
                        return 0;
                if (!r)
                        continue;
                if (r != EDGE_E_FULL || !out)
                        return r;
                r = ring_wait_for_room(edge);
                if (r == EDGE_E_FULL)
                        break;
                if (r)
                        return r;
        }
        assert(out); /* nobody else's message has come into the queue meanwhile */
        *out = (struct edge_outgoing){
                .on_sent = out->on_sent, .userdata = out->userdata, .frame = now.frame, .payload = payload, .size = size, .sent = now.sent
        };
        outgoing_add(edge, out);
        return EDGE_E_FULL;
}

static void on_cancel_sent(struct edge_outgoing *out, int result) {
        free(out);
}

static struct edge_outgoing *cancel_new(uint64_t correlation) {
        struct edge_outgoing *cancel = calloc(1, sizeof(*cancel));

        if (cancel) {
                cancel->on_sent = on_cancel_sent;
                cancel->frame = (struct frame){ .kind = FRAME_CANCEL, .correlation = correlation };
        }
        return cancel;
}

int edge_send_cancel(struct edge *edge, uint64_t correlation) {
        struct frame frame = { .kind = FRAME_CANCEL, .correlation = correlation };
        struct edge_outgoing *cancel;
        int r = edge_send(edge, &frame, NULL, 0, NULL);

        if (r != EDGE_E_FULL)
                return r;
        cancel = cancel_new(correlation);
        if (!cancel)
                return -ENOMEM;
        r = edge_send(edge, &frame, NULL, 0, cancel);
        if (r == EDGE_E_FULL)
                return 0;
        free(cancel);
        return r;
}

uint32_t edge_record_max(const struct edge *edge) {
        return edge->record_max;
}

void edge_cancel(struct edge_outgoing *out) {
        struct edge *edge = out->edge;
        struct edge_outgoing *cancel;

        if (!edge)
                return;
        if (!out->sent) {
                outgoing_drop(edge, out);
                return;
        }
        /* A part of it is there: the peer must not wait for the rest. The record goes into the queue before a large
         * message that was held takes the freed place, so that the peer never holds more than it may. */
        cancel = cancel_new(out->frame.correlation);
        if (cancel)
                outgoing_add(edge, cancel);
        else
                edge_poison(edge, VIOLATION_NO_MEMORY);
        outgoing_drop(edge, out);
        if (!edge->poison && !edge->hung_up)
                queue_pump(edge);
}
