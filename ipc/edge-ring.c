/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring of an edge, and how its two ends sleep and wake.
 *
 * Ring. Positions are 64-bit byte counts that never wrap in practice; offset =
 * position & (size - 1). Records are 16-byte aligned and never split: what is
 * left before the end is filled with a PAD record. The producer writes records
 * behind its private tail and publishes any number of them by one release store.
 * The consumer copies a header out once, checks it, copies the payload out, and
 * only then looks at it. Credit (head) is returned by a quarter ring, with what is
 * published, or when the ring is empty. Peer words are cached and re-read only when
 * out of room or data, and every value read must lie between what it was and what is
 * possible.
 *
 * A ring takes memory as far as it has been written. It is large enough for long
 * messages and many short ones to pass with few wakes, and mostly nearly empty:
 * who finds it empty and its warm part used up begins at the start again, so that
 * the rest stays untouched (and out of the caches) until somebody needs it.
 *
 * Sleep. The consumer that has found nothing stores `armed` = odd, fences, looks
 * once more, and sleeps in epoll on its bell, the read end of a pipe that the
 * producer made. The producer publishes, fences, and reads `armed`: odd and not
 * yet answered, it writes one byte. In every interleaving either the consumer
 * sees the tail or the producer sees the odd value (store-fence-load on both
 * sides), so no wake is lost, and there is one bell for each odd value. The same
 * with the roles exchanged gives bells for credit: `waiting` and head.
 */
#include <assert.h>
#include <sched.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/edge-internal.h"
#include "ipc/frame.h"
#include "ipc/shared.h"

#define RECORD_ALIGN 16u
#define RING_WARM (8u << 10)
#define ALIGNED(n) (((n) + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1))

/* The producer ------------------------------------------------------------------------------------------------------- */

/* What the peer says that it has consumed: loaded once, and only ever further than before, so whoever goes round because
 * of it goes round a bounded number of times. */
static int ring_look_for_room(struct edge *edge) {
        uint64_t head = shared_load64(&edge->peer->head);

        if (head < edge->peer_head || head > edge->published || head % RECORD_ALIGN)
                return edge_poison(edge, VIOLATION_HEAD);
        edge->peer_head = head;
        return 0;
}

/* Is it time to begin at the start again, though the end is not reached? It is for a batch that would leave the warm part of a
 * ring with nothing in it; not for a long message, which is what the rest is for. */
static bool ring_rewinds(struct edge *edge, const struct frame *frame, uint64_t need) {
        uint64_t offset = edge->tail & (edge->limits.ring_size - 1);

        if (edge->limits.ring_size <= RING_WARM || edge->tail != edge->published)
                return false;
        if (frame->flags & FRAME_MORE || frame->kind == FRAME_DATA || frame->kind == FRAME_END)
                return false;
        /* A pad's header lies in the warm part too; what is larger than the way back would not fit behind one. */
        if (offset + need + FRAME_SIZE <= RING_WARM || offset < need)
                return false;
        if (edge->peer_head != edge->tail)
                ring_look_for_room(edge);
        return edge->peer_head == edge->tail;
}

/* Is there room for `need` bytes that must not be split? Positions the private tail behind a pad if one is needed. */
static int ring_reserve(struct edge *edge, const struct frame *frame, uint64_t need) {
        uint64_t size = edge->limits.ring_size, to_end = size - (edge->tail & (size - 1)), total = need;
        bool pads = need > to_end || ring_rewinds(edge, frame, need);
        int r;

        if (edge->poison)
                return EDGE_E_POISONED;
        if (pads)
                total += to_end;
        if (size - (edge->tail - edge->peer_head) < total) {
                r = ring_look_for_room(edge);
                if (r)
                        return r;
                if (size - (edge->tail - edge->peer_head) < total)
                        return EDGE_E_FULL;
        }
        if (pads) {
                struct frame pad = { .length = (uint32_t)to_end, .kind = FRAME_PAD };

                /* At least 16 bytes are left, for records are aligned so; older content behind is the owner's own. */
                shared_copy_in(edge->own_data + (edge->tail & (size - 1)), &pad, MIN(to_end, (uint64_t)FRAME_SIZE));
                edge->tail += to_end;
        }
        return 0;
}

int ring_put(struct edge *edge, const struct frame *frame, const void *payload, uint32_t size) {
        uint64_t mask = edge->limits.ring_size - 1, need = ALIGNED((uint64_t)FRAME_SIZE + size);
        struct frame header;
        uint8_t *at;
        int r;

        assert(payload || !size);
        r = ring_reserve(edge, frame, need);
        if (r)
                return r;
        at = edge->own_data + (edge->tail & mask);
        header = *frame;
        header.length = FRAME_SIZE + size;
        shared_copy_in(at, &header, FRAME_SIZE);
        if (size)
                shared_copy_in(at + FRAME_SIZE, payload, size);
        shared_zero(at + FRAME_SIZE + size, need - FRAME_SIZE - size);
        edge->tail += need;
        return 0;
}

/* Is the word, loaded after the fence behind what it waits for, odd and not yet answered? It is then. */
static bool is_asked(const _Atomic uint32_t *word, uint32_t *answered) {
        uint32_t asked = shared_load32(word);

        if (!(asked & 1) || asked == *answered)
                return false;
        *answered = asked;
        return true;
}

int edge_flush(struct edge *edge) {
        bool returns = edge->returned != edge->head, rings;

        if (edge->poison)
                return EDGE_E_POISONED;
        if (edge->published == edge->tail || !edge->peer)
                return 0;
        /* Who gets an answer gets the credit of his question before it, and sees his ring empty. */
        if (returns)
                shared_store64(&edge->own->head, edge->head);
        edge->returned = edge->head;
        shared_store64(&edge->own->tail, edge->tail);
        edge->published = edge->tail;
        shared_fence();
        rings = is_asked(&edge->peer->armed, &edge->rung);
        rings |= returns && is_asked(&edge->peer->waiting, &edge->waiting_rung);
        return rings ? edge_ring_bell(edge) : 0;
}

int ring_wait_for_room(struct edge *edge) {
        uint64_t before = edge->peer_head;
        int r;

        r = edge_flush(edge);
        if (r)
                return r;
        edge->waiting = (edge->waiting | 1) + 2;
        edge->n_asked++;
        shared_store32(&edge->own->waiting, edge->waiting);
        shared_fence();
        r = ring_look_for_room(edge);
        if (r)
                return r;
        return edge->peer_head == before ? EDGE_E_FULL : 0;
}

void ring_wait_no_more(struct edge *edge) {
        if (edge->waiting & 1)
                shared_store32(&edge->own->waiting, ++edge->waiting);
}

uint64_t edge_sent_position(const struct edge *edge) {
        return edge->tail;
}

uint64_t edge_peer_accepted(const struct edge *edge) {
        return edge->peer ? shared_load64(&edge->peer->accepted) : 0;
}

/* The consumer ------------------------------------------------------------------------------------------------------- */

/* How many bytes can be read; 0 none, or EDGE_E_POISONED through *ret_result. Who has hung up has published before all that
 * counts: what is there then is the end, however much is written by one who only says that he has gone. */
static uint64_t ring_available(struct edge *edge, int *ret_result) {
        *ret_result = 0;
        if (edge->peer_tail == edge->head && !edge->ended) {
                bool last = edge->hung_up;
                uint64_t tail = shared_load64(&edge->peer->tail);

                if (tail < edge->peer_tail || tail - edge->head > edge->peer_size || tail % RECORD_ALIGN) {
                        *ret_result = edge_poison(edge, VIOLATION_TAIL);
                        return 0;
                }
                edge->peer_tail = tail;
                edge->ended = last;
        }
        return edge->peer_tail - edge->head;
}

int ring_take(struct edge *edge, struct frame *frame, const uint8_t **ret_payload, uint32_t *ret_size) {
        uint64_t available, to_end, offset = edge->head & (edge->peer_size - 1);
        int r;

        available = ring_available(edge, &r);
        if (r)
                return r;
        if (!available)
                return EDGE_E_EMPTY;
        to_end = MIN(edge->peer_size - offset, available);
        memset(frame, 0, sizeof(*frame));
        shared_copy_out(frame, edge->peer_data + offset, MIN(to_end, (uint64_t)FRAME_SIZE));
        if (frame->kind == FRAME_PAD) {
                if (frame->length != edge->peer_size - offset || frame->length > available)
                        return edge_poison(edge, VIOLATION_PAD);
                edge->head += frame->length;
                *ret_size = 0;
                return 0;
        }
        if (to_end < FRAME_SIZE || frame_check(frame, to_end) < 0 || ALIGNED((uint64_t)frame->length) > to_end)
                return edge_poison(edge, VIOLATION_HEADER);
        if (frame->length > edge->peer_size / 4)
                return edge_poison(edge, VIOLATION_RECORD_SIZE);
        *ret_size = frame->length - FRAME_SIZE;
        *ret_payload = edge->peer_data + offset + FRAME_SIZE;
        edge->head += ALIGNED((uint64_t)frame->length);
        return 0;
}

int ring_return_credit(struct edge *edge) {
        if (edge->returned == edge->head)
                return 0;
        shared_store64(&edge->own->head, edge->head);
        edge->returned = edge->head;
        shared_fence();
        return is_asked(&edge->peer->waiting, &edge->waiting_rung) ? edge_ring_bell(edge) : 0;
}

void edge_accept(struct edge *edge, const struct edge_message *message) {
        shared_store64(&edge->own->accepted, message->position);
}

/* It is of the process, not of the edge; but it is told to nobody else. No order is needed: who reads it expects nothing. */
static void note_cpu(struct edge *edge) {
        uint32_t cpu = (uint32_t)(sched_getcpu() + 1);

        if (cpu != edge->cpu)
                atomic_store_explicit(&edge->own->cpu, cpu, memory_order_relaxed);
        edge->cpu = cpu;
}

int edge_peer_cpu(const struct edge *edge) {
        uint32_t cpu = edge->peer ? shared_load32(&edge->peer->cpu) : 0;

        return cpu > INT32_MAX ? -1 : (int)cpu - 1;
}

bool edge_arm(struct edge *edge) {
        if (!(edge->armed & 1)) {
                note_cpu(edge);
                edge->armed++;
                edge->n_asked++;
                shared_store32(&edge->own->armed, edge->armed);
        }
        shared_fence();
        if (!edge->peer)
                return true;
        /* An end that was found meanwhile is for edge_receive() to tell, as is what the bound of one turn left behind. */
        if (edge->poison || edge->hung_up || edge->peer_tail != edge->head)
                return false;
        return shared_load64(&edge->peer->tail) == edge->head;
}
