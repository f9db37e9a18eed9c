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
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/edge-internal.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define BELL_READS_MAX 17 /* a whole pipe, and the end behind it */

int edge_poison(struct edge *edge, const char *reason) {
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
        edge->memory_fd = edge->bell_read = edge->bell_write = edge->wait_fd = -1;
        queue_init(edge);
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
        edge->peer_size = size - EDGE_DATA_OFFSET;
        r = partials_init(edge);
        if (r < 0)
                return r;
        r = memfd_map_ro(memory, size, &map);
        if (r < 0)
                return r;
        edge->peer = map;
        edge->peer_map_size = size;
        edge->peer_data = (const uint8_t *)map + EDGE_DATA_OFFSET;
        shared_copy_out(&begin, (const uint8_t *)map, sizeof(begin));
        if (begin.magic != EDGE_MAGIC || begin.version != EDGE_VERSION || begin.ring_size != edge->peer_size)
                return edge_poison(edge, "its memory does not begin as an edge does");
        edge->wait_fd = TAKE_FD(bell);
        return 0;
}

/* Bells -------------------------------------------------------------------------------------------------------------- */

int edge_wait_fd(const struct edge *edge) {
        return edge->wait_fd;
}

int edge_ring_bell(struct edge *edge) {
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
                /* Bells that stay unread fill the pipe, and then wakes are lost: better the end now than silence later. */
                if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOMEM)
                        edge_poison(edge, "its doorbell cannot be read");
                if (n <= 0)
                        return;
        }
        if (poll(&end, 1, 0) > 0 && (end.revents & POLLHUP))
                edge->hung_up = true;
}

int edge_on_bell(struct edge *edge) {
        if (edge->wait_fd >= 0)
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

bool edge_is_lost(const struct edge *edge) {
        return edge->poison || edge->hung_up;
}

const char *edge_poison_reason(const struct edge *edge) {
        return edge->poison;
}
