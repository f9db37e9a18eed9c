/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges: their life and their bells. Each side owns one memory file: its
 * outgoing ring (tail and data) and what it says as the consumer of the other
 * ring (head, accepted, armed), plus `waiting`, by which it asks for a bell when
 * room appears. No word has two writers, so a peer can lie only about itself,
 * and a peer killed between any two instructions leaves either a published
 * record or none.
 *
 * edge-ring.c moves records through a ring, sleeps and wakes, and is where every
 * word of the peer is loaded and checked; edge-send.c cuts messages into records
 * and edge-receive.c puts them together. Each begins with its part of the
 * protocol.
 *
 * Any violation poisons the edge: it is never repaired.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/bell.h"
#include "ipc/cleanup.h"
#include "ipc/edge-internal.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define BELLS_MAX 1024 /* that may lie in the pipe; the smallest pipe has room for some thousands */

int edge_poison(struct edge *edge, enum violation reason) {
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
        edge->memory_fd = edge->bell_read = edge->bell_write = edge->wait_fd = -1;
        queue_init(edge);
        /* Only the words are committed at once; data pages are charged when they are first touched. */
        edge->memory_fd = memfd_new_bus("socle-edge", own_map_size(edge), EDGE_DATA_OFFSET, &map);
        if (edge->memory_fd < 0)
                return edge->memory_fd;
        edge->own = map;
        edge->own_data = (uint8_t *)map + EDGE_DATA_OFFSET;
        edge->own->magic = EDGE_MAGIC;
        edge->own->version = EDGE_VERSION;
        edge->own->ring_size = limits->ring_size;
        /* Asleep until the first look. */
        edge->armed = 1;
        shared_store32(&edge->own->armed, edge->armed);
        r = fd_pipe(bell);
        if (r < 0)
                return r;
        edge->bell_read = bell[0];
        edge->bell_write = bell[1];
        *ret_edge = TAKE_PTR(edge);
        return 0;
}

struct edge *edge_free(struct edge *edge) {
        if (!edge)
                return NULL;
        edge->hung_up = true;
        queue_deinit(edge);
        partials_deinit(edge);
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
                return edge_poison(edge, VIOLATION_MEMORY);
        if (!ring_size_ok(size - EDGE_DATA_OFFSET))
                return edge_poison(edge, VIOLATION_RING);
        r = bell_check(bell);
        if (r < 0)
                return r != -EPROTO ? r : edge_poison(edge, VIOLATION_BELL);
        edge->peer_size = size - EDGE_DATA_OFFSET;
        r = memfd_map_ro(memory, size, &map);
        if (r < 0)
                return r;
        edge->peer = map;
        edge->peer_map_size = size;
        edge->peer_data = (const uint8_t *)map + EDGE_DATA_OFFSET;
        shared_copy_out(&begin, (const uint8_t *)map, sizeof(begin));
        if (begin.magic != EDGE_MAGIC || begin.version != EDGE_VERSION || begin.ring_size != edge->peer_size)
                return edge_poison(edge, VIOLATION_LAYOUT);
        edge->wait_fd = TAKE_FD(bell);
        return 0;
}

/* Bells -------------------------------------------------------------------------------------------------------------- */

int edge_wait_fd(const struct edge *edge) {
        return edge->wait_fd;
}

int edge_ring_bell(struct edge *edge) {
        if (bell_write(edge->bell_write) == 0)
                return 0;
        edge->hung_up = true;
        return EDGE_E_CLOSED;
}

static void drain_bell(struct edge *edge) {
        bool hung_up;

        edge->n_asked = 0;
        if (bell_drain(edge->wait_fd, &hung_up) < 0)
                edge_poison(edge, VIOLATION_BELL_BROKEN);
        edge->hung_up |= hung_up;
}

static int edge_awake(struct edge *edge) {
        if (edge->armed & 1) {
                edge->armed++;
                shared_store32(&edge->own->armed, edge->armed);
        }
        if (edge->poison)
                return EDGE_E_POISONED;
        return edge->queue.first && !edge->hung_up ? queue_pump(edge) : 0;
}

int edge_on_bell(struct edge *edge) {
        if (edge->wait_fd >= 0)
                drain_bell(edge);
        return edge_awake(edge);
}

/* A bell that lies in the pipe already does not keep a later one from being told of: each write is an event of its own. No
 * more of them can be there than were asked for, but for those of a peer who makes itself unheard. */
int edge_on_event(struct edge *edge, bool ended) {
        return ended || edge->n_asked >= BELLS_MAX ? edge_on_bell(edge) : edge_awake(edge);
}

bool edge_is_idle(const struct edge *edge) {
        return !edge->queue.first && !edge->partials;
}

bool edge_is_lost(const struct edge *edge) {
        return edge->poison || edge->hung_up;
}

enum violation edge_violation(const struct edge *edge) {
        return edge->poison;
}

const char *edge_poison_reason(const struct edge *edge) {
        return edge->poison ? violation_text(edge->poison) : NULL;
}
