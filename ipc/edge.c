/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges. Each side owns one memory file: its outgoing ring (tail and data) and
 * what it says as the consumer of the other ring (head, accepted, armed), plus
 * `waiting`, by which it asks for a bell when room appears. No word has two
 * writers, so a peer can lie only about itself, and a peer killed between any
 * two instructions leaves either a published record or none.
 *
 * Ring. Positions are 64-bit byte counts that never wrap in practice; offset =
 * position & (size - 1). Records are 16-byte aligned and never split: what is
 * left before the end is filled with a PAD record. The producer writes records
 * behind its private tail and publishes any number of them by one release store.
 * The consumer copies a header out once, checks it, copies the payload out, and
 * only then looks at it. Credit (head) is returned by a quarter ring or when the
 * ring is empty. Peer words are cached and re-read only when out of room or data,
 * and every value read must lie between what it was and what is possible.
 *
 * Sleep. The consumer that has found nothing stores `armed` = odd, fences, looks
 * once more, and sleeps in epoll on its bell, the read end of a pipe that the
 * producer made. The producer publishes, fences, and reads `armed`: odd and not
 * yet answered, it writes one byte. In every interleaving either the consumer
 * sees the tail or the producer sees the odd value (store-fence-load on both
 * sides), so no wake is lost, and there is one bell for each odd value. The same
 * with the roles exchanged gives bells for credit: `waiting` and head.
 *
 * Large messages are cut into records of at most a quarter ring: the first has
 * FRAME_MORE, DATA records follow, END is the last. Records of several messages
 * interleave (one record each in turn), so a large one does not block the rest;
 * of large ones only so many are under way as the peer may hold unfinished
 * (max_partial), the others are held back.
 * Reassembly is in private memory that grows with what has come, never by a size
 * that somebody declared.
 *
 * Work is bounded: who counts the messages that he takes of an edge in one turn
 * counts on us for the rest: of records that come to nothing (pads, beginnings
 * that are cancelled, pieces) we take only so many bytes from one EDGE_E_EMPTY to
 * the next, however large a ring the peer has made. So a peer that writes as fast
 * as we read does not keep us from others.
 *
 * Any violation poisons the edge: it is never repaired.
 */
#include "ipc/edge.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/edge-layout.h"
#include "ipc/fd.h"
#include "ipc/frame.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define RECORD_ALIGN 16u
#define PARTIALS_MAX 64u          /* each further record is looked up among them */
#define FRUITLESS_MAX (64u << 10) /* bytes of records that end no message, before others have their turn */
#define BELL_READS_MAX 17         /* a whole pipe, and the end behind it */
#define ALIGNED(n) (((n) + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1))

/* A message under reassembly. */
struct partial {
        struct partial *next;
        struct frame frame;
        uint8_t *data;
        uint32_t size, room;
};

struct outgoing_list {
        struct edge_outgoing *first, **end;
};

struct edge {
        struct edge_limits limits;
        const char *poison;
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
        uint64_t peer_head;  /* cached */
        uint32_t record_max; /* payload of one record */
        uint32_t rung, waiting;
        struct outgoing_list queue; /* messages whose records go out in turn */
        struct outgoing_list held;  /* large ones behind the `large_max` of the queue */
        uint32_t n_large, large_max;

        /* the peer's side */
        const struct edge_side *peer;
        const uint8_t *peer_data;
        uint64_t peer_size; /* of its ring */
        uint64_t peer_map_size;
        int wait_fd;
        uint64_t head; /* consumed; own->head is what is returned */
        uint64_t fruitless, fruitless_max;
        uint64_t returned;
        uint64_t peer_tail; /* cached */
        uint32_t armed, waiting_rung;
        struct partial *partials;
        uint32_t n_partials;
        uint64_t partial_bytes;
        uint8_t *scratch;   /* payload of one record */
        uint8_t *delivered; /* reassembled payload, valid until the next receive */
};

static int edge_poison(struct edge *edge, const char *reason) {
        if (!edge->poison)
                edge->poison = reason;
        return EDGE_E_POISONED;
}

static uint64_t own_map_size(const struct edge *edge) {
        return EDGE_DATA_OFFSET + (uint64_t)edge->limits.ring_size;
}

static void edge_freep(struct edge **edge) {
        edge_free(*edge);
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static bool ring_size_ok(uint64_t size) {
        return size >= EDGE_RING_MIN && size <= EDGE_RING_MAX && (size & (size - 1)) == 0;
}

static uint32_t large_max(const struct edge_limits *limits) {
        uint64_t n = limits->max_partial / MAX(limits->max_message, 1u);

        return (uint32_t)MAX(MIN(n, (uint64_t)PARTIALS_MAX), UINT64_C(1));
}

/* Only the words are committed at once; data pages are charged when they are first touched. */
static int commit_words(int fd) {
        int r;

        do {
                r = fallocate(fd, 0, 0, EDGE_DATA_OFFSET);
        } while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

int edge_new(struct edge **ret_edge, const struct edge_limits *limits) {
        _cleanup_(edge_freep) struct edge *edge = NULL;
        int bell[2], r;
        void *map;

        if (!ring_size_ok(limits->ring_size))
                return -EINVAL;
        edge = calloc(1, sizeof(*edge));
        if (!edge)
                return -ENOMEM;
        edge->limits = *limits;
        edge->limits.max_partial = MAX(limits->max_partial, (uint64_t)limits->max_message);
        edge->large_max = large_max(&edge->limits);
        edge->memory_fd = edge->bell_read = edge->bell_write = edge->wait_fd = -1;
        edge->queue.end = &edge->queue.first;
        edge->held.end = &edge->held.first;
        edge->record_max = limits->ring_size / 4 - FRAME_SIZE;
        edge->memory_fd = memfd_new("socle-edge", own_map_size(edge));
        if (edge->memory_fd < 0)
                return edge->memory_fd;
        r = commit_words(edge->memory_fd);
        if (r < 0)
                return r;
        r = memfd_map_rw(edge->memory_fd, own_map_size(edge), &map);
        if (r < 0)
                return r;
        edge->own = map;
        edge->own_data = (uint8_t *)map + EDGE_DATA_OFFSET;
        edge->own->magic = EDGE_MAGIC;
        edge->own->version = EDGE_VERSION;
        edge->own->ring_size = limits->ring_size;
        /* Asleep until the first look. */
        edge->armed = 1;
        shared_store32(&edge->own->armed, edge->armed);
        r = memfd_seal(edge->memory_fd, MEMFD_SEALS_BUS);
        if (r >= 0)
                r = fd_pipe(bell);
        if (r < 0)
                return r;
        edge->bell_read = bell[0];
        edge->bell_write = bell[1];
        *ret_edge = TAKE_PTR(edge);
        return 0;
}

static void partial_free(struct edge *edge, struct partial **link) {
        struct partial *p = *link;

        *link = p->next;
        edge->n_partials--;
        edge->partial_bytes -= p->size;
        free(p->data);
        free(p);
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

struct edge *edge_free(struct edge *edge) {
        struct edge_outgoing *out;

        if (!edge)
                return NULL;
        edge->hung_up = true;
        while ((out = edge->queue.first)) {
                outgoing_drop(edge, out);
                if (out->on_sent)
                        out->on_sent(out, EDGE_E_CLOSED);
        }
        while (edge->partials)
                partial_free(edge, &edge->partials);
        free(edge->scratch);
        free(edge->delivered);
        if (edge->own)
                munmap(edge->own, own_map_size(edge));
        if (edge->peer)
                munmap((void *)(uintptr_t)edge->peer, edge->peer_map_size);
        fd_close(edge->memory_fd);
        fd_close(edge->bell_read);
        fd_close(edge->bell_write);
        fd_close(edge->wait_fd);
        free(edge);
        return NULL;
}

void edge_local_fds(struct edge *edge, int ret_fds[2]) {
        ret_fds[0] = edge->memory_fd;
        ret_fds[1] = edge->bell_read;
}

void edge_local_sent(struct edge *edge) {
        edge->memory_fd = fd_close(edge->memory_fd);
        edge->bell_read = fd_close(edge->bell_read);
}

/* Only a pipe has a size to tell. fstat() would ask the file system, which may be the peer's own and never answer. */
static int check_bell(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        if (fcntl(fd, F_GETPIPE_SZ) < 0 || (flags & O_ACCMODE) != O_RDONLY)
                return EDGE_E_POISONED;
        return 0;
}

int edge_attach(struct edge *edge, int memory_fd, int doorbell_fd) {
        _cleanup_close_ int memory = memory_fd, bell = doorbell_fd;
        struct {
                uint64_t magic;
                uint32_t version, ring_size;
        } begin;
        uint64_t size = 0;
        const void *map;
        int r;

        if (edge->peer || edge->poison)
                return -EALREADY;
        r = memfd_check(memory, MEMFD_SEALS_BUS, EDGE_DATA_OFFSET + EDGE_RING_MIN, EDGE_DATA_OFFSET + EDGE_RING_MAX, &size);
        if (r < 0)
                return edge_poison(edge, "its memory is not a sealed memory file of the right size");
        if (!ring_size_ok(size - EDGE_DATA_OFFSET))
                return edge_poison(edge, "its ring's size is no power of two");
        r = check_bell(bell);
        if (r)
                return r < 0 ? r : edge_poison(edge, "its doorbell is not the read end of a pipe");
        free(edge->scratch); /* of a try that ran out of memory */
        edge->scratch = malloc((size - EDGE_DATA_OFFSET) / 4 + FRAME_SIZE);
        if (!edge->scratch)
                return -ENOMEM;
        r = memfd_map_ro(memory, size, &map);
        if (r < 0)
                return r;
        edge->peer = map;
        edge->peer_map_size = size;
        edge->peer_size = size - EDGE_DATA_OFFSET;
        edge->fruitless_max = MIN(edge->peer_size, (uint64_t)FRUITLESS_MAX);
        edge->peer_data = (const uint8_t *)map + EDGE_DATA_OFFSET;
        shared_copy_out(&begin, (const uint8_t *)map, sizeof(begin));
        if (begin.magic != EDGE_MAGIC || begin.version != EDGE_VERSION || begin.ring_size != edge->peer_size)
                return edge_poison(edge, "its memory does not begin as an edge does");
        edge->wait_fd = TAKE_FD(bell);
        return 0;
}

int edge_wait_fd(const struct edge *edge) {
        return edge->wait_fd;
}

/* Bells -------------------------------------------------------------------------------------------------------------- */

static int edge_ring_bell(struct edge *edge) {
        static const char bell = 1;

        if (write(edge->bell_write, &bell, 1) < 0) {
                if (errno == EPIPE) {
                        edge->hung_up = true;
                        return EDGE_E_CLOSED;
                }
                /* EAGAIN: thousands of bells lie there unread; one more says nothing new. */
        }
        return 0;
}

int edge_flush(struct edge *edge) {
        uint32_t armed;

        if (edge->poison)
                return EDGE_E_POISONED;
        if (edge->published == edge->tail || !edge->peer)
                return 0;
        shared_store64(&edge->own->tail, edge->tail);
        edge->published = edge->tail;
        shared_fence();
        armed = shared_load32(&edge->peer->armed);
        if (!(armed & 1) || armed == edge->rung)
                return 0;
        edge->rung = armed;
        return edge_ring_bell(edge);
}

bool edge_arm(struct edge *edge) {
        if (!(edge->armed & 1)) {
                edge->armed++;
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

/* Sending ------------------------------------------------------------------------------------------------------------ */

/* What the peer says that it has consumed: loaded once, and only ever further than before, so whoever goes round because
 * of it goes round a bounded number of times. */
static int ring_look_for_room(struct edge *edge) {
        uint64_t head = shared_load64(&edge->peer->head);

        if (head < edge->peer_head || head > edge->published || head % RECORD_ALIGN)
                return edge_poison(edge, "it has consumed what was never sent");
        edge->peer_head = head;
        return 0;
}

/* Is there room for `need` bytes that must not be split? Positions the private tail behind a pad if one is needed. */
static int ring_reserve(struct edge *edge, uint64_t need) {
        uint64_t size = edge->limits.ring_size, to_end = size - (edge->tail & (size - 1)), total = need;
        int r;

        if (need > to_end)
                total += to_end;
        if (size - (edge->tail - edge->peer_head) < total) {
                r = ring_look_for_room(edge);
                if (r)
                        return r;
                if (size - (edge->tail - edge->peer_head) < total)
                        return EDGE_E_FULL;
        }
        if (need > to_end) {
                struct frame pad = { .length = (uint32_t)to_end, .kind = FRAME_PAD };

                /* At least 16 bytes are left, for records are aligned so; older content behind is the owner's own. */
                memcpy(edge->own_data + (edge->tail & (size - 1)), &pad, MIN(to_end, (uint64_t)FRAME_SIZE));
                edge->tail += to_end;
        }
        return 0;
}

static int ring_put(struct edge *edge, const struct frame *frame, const void *payload, uint32_t size) {
        uint64_t mask = edge->limits.ring_size - 1, need = ALIGNED((uint64_t)FRAME_SIZE + size);
        uint8_t *at;
        int r;

        assert(payload || !size);
        r = ring_reserve(edge, need);
        if (r)
                return r;
        at = edge->own_data + (edge->tail & mask);
        memcpy(at, frame, FRAME_SIZE);
        ((struct frame *)at)->length = FRAME_SIZE + size;
        if (size)
                memcpy(at + FRAME_SIZE, payload, size);
        memset(at + FRAME_SIZE + size, 0, need - FRAME_SIZE - size);
        edge->tail += need;
        return 0;
}

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
        if (!r)
                out->sent += n;
        return r;
}

/* Publishes, and asks the peer for a bell when it has made room. 0: it has made some after all; EDGE_E_FULL: wait for the
 * bell; EDGE_E_*. */
static int edge_wait_for_room(struct edge *edge) {
        uint64_t before = edge->peer_head;
        int r;

        r = edge_flush(edge);
        if (r)
                return r;
        edge->waiting = (edge->waiting | 1) + 2;
        shared_store32(&edge->own->waiting, edge->waiting);
        shared_fence();
        r = ring_look_for_room(edge);
        if (r)
                return r;
        return edge->peer_head == before ? EDGE_E_FULL : 0;
}

static void edge_wait_no_more(struct edge *edge) {
        if (edge->waiting & 1)
                shared_store32(&edge->own->waiting, ++edge->waiting);
}

/* Puts what fits of what is queued, a record of each message in turn, and publishes it. 0 or EDGE_E_*. */
static int queue_pump(struct edge *edge) {
        struct edge_outgoing *out;
        int r;

        while ((out = edge->queue.first)) {
                r = outgoing_step(edge, out);
                if (r == EDGE_E_FULL) {
                        r = edge_wait_for_room(edge);
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
        edge_wait_no_more(edge);
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
                r = edge_wait_for_room(edge);
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
        cancel = calloc(1, sizeof(*cancel));
        if (cancel) {
                cancel->on_sent = on_cancel_sent;
                cancel->frame = (struct frame){ .kind = FRAME_CANCEL, .correlation = out->frame.correlation };
                outgoing_add(edge, cancel);
        } else {
                edge_poison(edge, "out of memory in the middle of a message");
        }
        outgoing_drop(edge, out);
        if (!edge->poison && !edge->hung_up)
                queue_pump(edge);
}

uint64_t edge_sent_position(const struct edge *edge) {
        return edge->tail;
}

uint64_t edge_peer_accepted(const struct edge *edge) {
        return edge->peer ? shared_load64(&edge->peer->accepted) : 0;
}

/* Receiving ---------------------------------------------------------------------------------------------------------- */

static int edge_return_credit(struct edge *edge) {
        uint32_t waiting;

        if (edge->returned == edge->head)
                return 0;
        shared_store64(&edge->own->head, edge->head);
        edge->returned = edge->head;
        shared_fence();
        waiting = shared_load32(&edge->peer->waiting);
        if (!(waiting & 1) || waiting == edge->waiting_rung)
                return 0;
        edge->waiting_rung = waiting;
        return edge_ring_bell(edge);
}

/* How many bytes can be read; 0 none, or EDGE_E_POISONED through *ret_result. Who has hung up has published before all that
 * counts: what is there then is the end, however much is written by one who only says that he has gone. */
static uint64_t ring_available(struct edge *edge, int *ret_result) {
        *ret_result = 0;
        if (edge->peer_tail == edge->head && !edge->ended) {
                bool last = edge->hung_up;
                uint64_t tail = shared_load64(&edge->peer->tail);

                if (tail < edge->peer_tail || tail - edge->head > edge->peer_size || tail % RECORD_ALIGN) {
                        *ret_result = edge_poison(edge, "its tail is out of range");
                        return 0;
                }
                edge->peer_tail = tail;
                edge->ended = last;
        }
        return edge->peer_tail - edge->head;
}

/* The next record, a pad too: header and payload copied out, position advanced. 0, EDGE_E_EMPTY, EDGE_E_POISONED. */
static int ring_take(struct edge *edge, struct frame *frame, uint32_t *ret_size) {
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
                        return edge_poison(edge, "a pad record does not reach the end of its ring");
                edge->head += frame->length;
                *ret_size = 0;
                return 0;
        }
        if (to_end < FRAME_SIZE || frame_check(frame, to_end) < 0 || ALIGNED((uint64_t)frame->length) > to_end)
                return edge_poison(edge, "a record's header is malformed");
        if (frame->length > edge->peer_size / 4)
                return edge_poison(edge, "a record is longer than a quarter of its ring");
        *ret_size = frame->length - FRAME_SIZE;
        shared_copy_out(edge->scratch, edge->peer_data + offset + FRAME_SIZE, *ret_size);
        edge->head += ALIGNED((uint64_t)frame->length);
        return 0;
}

static struct partial **partial_find(struct edge *edge, uint64_t correlation) {
        struct partial **link = &edge->partials;

        while (*link && (*link)->frame.correlation != correlation)
                link = &(*link)->next;
        return link;
}

/* The record is taken and cannot be put back: what comes after it would be a message with a hole. */
static int partial_lost(struct edge *edge) {
        edge_poison(edge, "out of memory in the middle of a message");
        return -ENOMEM;
}

static int partial_append(struct edge *edge, struct partial *p, uint32_t size) {
        if (size > edge->limits.max_message - p->size)
                return edge_poison(edge, "a message is longer than max-message");
        if (edge->partial_bytes + size > edge->limits.max_partial)
                return edge_poison(edge, "too many bytes in unfinished messages");
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
        memcpy(p->data + p->size, edge->scratch, size);
        p->size += size;
        edge->partial_bytes += size;
        return 0;
}

static int partial_begin(struct edge *edge, const struct frame *frame, uint32_t size) {
        struct partial *p;
        int r;

        if (*partial_find(edge, frame->correlation) || edge->n_partials == PARTIALS_MAX)
                return edge_poison(edge, "a message begins twice, or too many are unfinished");
        p = calloc(1, sizeof(*p));
        if (!p)
                return partial_lost(edge);
        p->frame = *frame;
        p->next = edge->partials;
        edge->partials = p;
        edge->n_partials++;
        r = partial_append(edge, p, size);
        return r ? r : EDGE_E_EMPTY;
}

static int partial_continue(struct edge *edge, const struct frame *frame, uint32_t size, struct edge_message *ret) {
        struct partial **link = partial_find(edge, frame->correlation);
        int r;

        if (!*link)
                return edge_poison(edge, "a fragment belongs to no message");
        r = partial_append(edge, *link, size);
        if (r || frame->kind == FRAME_DATA)
                return r ? r : EDGE_E_EMPTY;
        free(edge->delivered);
        edge->delivered = TAKE_PTR((*link)->data);
        *ret = (struct edge_message){ .frame = (*link)->frame, .payload = edge->delivered, .size = (*link)->size };
        ret->frame.flags &= (uint8_t)~FRAME_MORE;
        partial_free(edge, link);
        return 0;
}

/* What a record means. 0: a message is whole; EDGE_E_EMPTY: go on. */
static int take_record(struct edge *edge, const struct frame *frame, uint32_t size, struct edge_message *ret) {
        struct partial **link;

        if (frame->kind == FRAME_PAD)
                return EDGE_E_EMPTY;
        if (frame->kind == FRAME_DATA || frame->kind == FRAME_END)
                return partial_continue(edge, frame, size, ret);
        if (frame->flags & FRAME_MORE)
                return partial_begin(edge, frame, size);
        if (size > edge->limits.max_message)
                return edge_poison(edge, "a message is longer than max-message");
        if (frame->kind == FRAME_CANCEL) {
                link = partial_find(edge, frame->correlation);
                if (*link) {
                        partial_free(edge, link);
                        return EDGE_E_EMPTY;
                }
        }
        *ret = (struct edge_message){ .frame = *frame, .payload = edge->scratch, .size = size };
        return 0;
}

/* Nothing to take now. The end is told only when all that the peer had published before it is taken. */
static int receive_empty(struct edge *edge) {
        edge->fruitless = 0;
        edge_return_credit(edge);
        return edge->ended && edge->peer_tail == edge->head ? EDGE_E_CLOSED : EDGE_E_EMPTY;
}

int edge_receive(struct edge *edge, struct edge_message *ret_message) {
        struct edge_message message;
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

                r = edge->fruitless >= edge->fruitless_max ? EDGE_E_EMPTY : ring_take(edge, &frame, &size);
                if (r == EDGE_E_EMPTY)
                        return receive_empty(edge);
                if (r)
                        return r;
                if (edge->head - edge->returned >= edge->peer_size / 4)
                        edge_return_credit(edge);
                r = take_record(edge, &frame, size, &message);
                if (r == EDGE_E_EMPTY) {
                        edge->fruitless += edge->head - before;
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

void edge_accept(struct edge *edge, const struct edge_message *message) {
        shared_store64(&edge->own->accepted, message->position);
}

/* Bells carry nothing but that they rang. Reading goes on to the bottom, for a last bell and the end behind it are one
 * event of an edge-triggered set. A peer that keeps writing must not keep us here, though: what is left then is read with
 * its next bell, and only its end has to be seen now.
 *
 * vmsplice() and not read(): the end that we hold is one open file with what the peer has kept of it, who can take
 * O_NONBLOCK away between any check and a read(), which would then wait for ever. Here the call itself says so. */
static void bell_drain(struct edge *edge) {
        struct pollfd end = { .fd = edge->wait_fd };
        char bells[PIPE_BUF];
        struct iovec room = { bells, sizeof(bells) };
        ssize_t n;

        for (int i = 0; i < BELL_READS_MAX; i++) {
                n = vmsplice(edge->wait_fd, &room, 1, SPLICE_F_NONBLOCK);
                if (n == 0)
                        edge->hung_up = true;
                if (n <= 0)
                        return;
        }
        if (poll(&end, 1, 0) > 0 && (end.revents & POLLHUP))
                edge->hung_up = true;
}

int edge_on_bell(struct edge *edge) {
        bell_drain(edge);
        if (edge->armed & 1) {
                edge->armed++;
                shared_store32(&edge->own->armed, edge->armed);
        }
        if (edge->poison)
                return EDGE_E_POISONED;
        return edge->queue.first && !edge->hung_up ? queue_pump(edge) : 0;
}

bool edge_is_idle(const struct edge *edge) {
        return !edge->queue.first && !edge->partials;
}

const char *edge_poison_reason(const struct edge *edge) {
        return edge->poison;
}
