/* SPDX-License-Identifier: Apache-2.0
 *
 * An edge whose peer is the fuzzer: it lays bytes and whole records into its
 * ring, moves its words, rings, and takes what the edge sends. Whatever it does,
 * the edge reads no byte twice, none that was not published, and ends either
 * well or poisoned with a reason. An honest edge in between must go on working.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/edge-layout.h"
#include "ipc/edge.h"
#include "ipc/fd.h"
#include "ipc/frame.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define RING 4096u
#define CHECK(condition)                                                                                                                   \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                                 \
                        abort();                                                                                                           \
                }                                                                                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The peer's memory as the edge sees it, and which bytes of the ring it has fetched since the last look. */
static const uint8_t *mapped;
static uint64_t begin, end; /* positions: read up to, published up to */
static uint8_t fetched[RING];

void shared_fetching(const uint8_t *from, uint64_t size) {
        if (!mapped) {
                mapped = from; /* the first thing that edge_attach() reads */
                return;
        }
        CHECK(from >= mapped + EDGE_DATA_OFFSET && size <= RING);
        for (uint64_t i = 0, at = (uint64_t)(from - mapped) - EDGE_DATA_OFFSET; i < size; i++, at++) {
                CHECK(at < RING);
                CHECK(((at - begin) & (RING - 1)) < end - begin);
                CHECK(!fetched[at]);
                fetched[at] = 1;
        }
}

/* The peer changes its mind between any two loads of its head. */
static struct edge_side *restless;
static uint64_t restless_bits;

void shared_loading(const void *word) {
        if (restless && ((uintptr_t)word & (EDGE_DATA_OFFSET - 1)) == offsetof(struct edge_side, head))
                restless->head ^= restless_bits;
}

struct input {
        const uint8_t *at;
        size_t left;
};

static uint64_t take(struct input *in, size_t n) {
        uint64_t v = 0;

        n = MIN(n, in->left);
        memcpy(&v, in->at, n);
        in->at += n;
        in->left -= n;
        return v;
}

struct peer {
        struct edge *edge;
        struct edge_side *side;
        uint8_t *ring;
        const struct edge_side *theirs;
        int bell_write, bell_read;
        uint64_t tail;
        struct edge_outgoing outs[4];
        uint8_t payload[2 * RING];
};

static void peer_open(struct peer *p) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 2 * RING, .max_partial = 4 * RING };
        int memory = memfd_new("fuzz", EDGE_DATA_OFFSET + RING), bell[2], fds[2];
        const void *theirs;
        void *map;

        CHECK(memory >= 0 && memfd_map_rw(memory, EDGE_DATA_OFFSET + RING, &map) == 0);
        CHECK(memfd_seal(memory, MEMFD_SEALS_BUS) == 0 && fd_pipe(bell) == 0);
        p->side = map;
        p->ring = (uint8_t *)map + EDGE_DATA_OFFSET;
        p->side->magic = EDGE_MAGIC;
        p->side->version = EDGE_VERSION;
        p->side->ring_size = RING;
        p->bell_write = bell[1];
        CHECK(edge_new(&p->edge, &limits) == 0);
        edge_local_fds(p->edge, fds);
        CHECK(memfd_map_ro(fds[0], EDGE_DATA_OFFSET + RING, &theirs) == 0);
        p->theirs = theirs;
        p->bell_read = fd_dup(fds[1]);
        edge_local_sent(p->edge);
        mapped = NULL;
        begin = end = 0;
        CHECK(edge_attach(p->edge, memory, bell[0]) == 0);
}

static void peer_close(struct peer *p) {
        edge_free(p->edge);
        munmap(p->side, EDGE_DATA_OFFSET + RING);
        munmap((void *)(uintptr_t)p->theirs, EDGE_DATA_OFFSET + RING);
        fd_close(p->bell_write);
        fd_close(p->bell_read);
}

/* A record that is right but for what the input says: random bytes alone would seldom be one. */
static void put_record(struct peer *p, struct input *in) {
        uint32_t size = (uint32_t)take(in, 2) % (RING / 4);
        struct frame frame = { .length = FRAME_SIZE + size, .kind = (uint8_t)(take(in, 1) % (FRAME_N_KINDS + 1)) };
        uint64_t to_end = RING - (p->tail & (RING - 1)), need;

        frame.flags = (uint8_t)take(in, 1) & 0x1f;
        frame.correlation = take(in, 1) % 4;
        if (frame.flags & 0x10)
                frame.length = (uint32_t)take(in, 4);
        need = (FRAME_SIZE + (uint64_t)size + 15) & ~UINT64_C(15);
        if (need > to_end || frame.kind == FRAME_PAD) {
                frame = (struct frame){ .kind = FRAME_PAD, .length = (uint32_t)to_end };
                need = to_end;
        }
        for (uint64_t i = 0; i < MIN(need, (uint64_t)FRAME_SIZE); i++)
                p->ring[(p->tail + i) & (RING - 1)] = ((const uint8_t *)&frame)[i];
        p->tail += need;
}

static void put_bytes(struct peer *p, struct input *in) {
        uint64_t at = take(in, 2);

        for (uint64_t n = take(in, 1); n && in->left; n--)
                p->ring[at++ & (RING - 1)] = (uint8_t)take(in, 1);
}

static void receive_all(struct peer *p) {
        struct edge_message m;
        int r;

        memset(fetched, 0, sizeof(fetched));
        end = shared_load64(&p->side->tail);
        while ((r = edge_receive(p->edge, &m)) == 0) {
                uint8_t *taken;

                CHECK(m.size <= 2 * RING && m.frame.kind != FRAME_PAD && !(m.frame.flags & FRAME_MORE));
                CHECK(m.position <= end);
                taken = edge_message_take(p->edge, &m);
                CHECK(taken);
                free(taken);
                edge_accept(p->edge, &m);
        }
        CHECK(r == EDGE_E_EMPTY || r == EDGE_E_CLOSED || r == EDGE_E_POISONED);
        if (r == EDGE_E_POISONED) {
                CHECK(edge_poison_reason(p->edge));
                return;
        }
        edge_arm(p->edge);
        /* Whoever found nothing more has given everything back. */
        begin = shared_load64(&p->theirs->head);
        CHECK(begin <= end);
}

/* Sends, cancels or goes on, with a peer that may be restless meanwhile. */
static void while_restless(struct peer *p, struct input *in, void (*fn)(struct peer *p, struct input *in)) {
        restless_bits = take(in, 1) * 16;
        restless = p->side;
        fn(p, in);
        restless = NULL;
}

static void send_one(struct peer *p, struct input *in) {
        struct edge_outgoing *out = &p->outs[take(in, 1) % N_ELEMENTS(p->outs)];
        struct frame frame = { .kind = FRAME_CAST, .correlation = (uint64_t)(out - p->outs) };

        if (!out->edge)
                edge_send(p->edge, &frame, p->payload, (uint32_t)take(in, 2) % (2 * RING + 2), in->left % 2 ? out : NULL);
}

static void go_on(struct peer *p, struct input *in) {
        edge_on_bell(p->edge);
}

static void step(struct peer *p, struct input *in) {
        char bells[64];

        switch (take(in, 1) % 14) {
        case 0:
        case 1:
        case 2:
                put_record(p, in);
                break;
        case 3:
                put_bytes(p, in);
                break;
        case 4:
                shared_store64(&p->side->tail, p->tail);
                break;
        case 5:
                shared_store64(&p->side->tail, p->tail += (uint64_t)(int8_t)take(in, 1) * 8);
                break;
        case 6:
                shared_store64(&p->side->head, in->left % 8 ? shared_load64(&p->theirs->tail) : take(in, 8));
                break;
        case 7:
                shared_store32(&p->side->armed, (uint32_t)take(in, 1));
                shared_store32(&p->side->waiting, (uint32_t)take(in, 1));
                break;
        case 8:
                if (write(p->bell_write, bells, take(in, 1) % sizeof(bells)) < 0)
                        break;
                edge_on_bell(p->edge);
                break;
        case 9:
                send_one(p, in);
                break;
        case 10:
                edge_cancel(&p->outs[take(in, 1) % N_ELEMENTS(p->outs)]);
                break;
        case 11:
                while_restless(p, in, send_one);
                break;
        case 12:
                while_restless(p, in, go_on);
                break;
        default:
                edge_flush(p->edge);
                break;
        }
        receive_all(p);
        if (read(p->bell_read, bells, sizeof(bells)) < 0)
                return;
}

static void check_one_header(const uint8_t *data, size_t size) {
        struct frame frame;

        if (size < sizeof(frame))
                return;
        memcpy(&frame, data, sizeof(frame));
        if (frame_check(&frame, size) == 0)
                CHECK(frame.length >= FRAME_SIZE && frame.length <= size && frame.kind < FRAME_N_KINDS);
        CHECK(frame_kind_name(frame.kind));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct input in = { data, size };
        struct peer p = { 0 };

        check_one_header(data, size);
        peer_open(&p);
        while (in.left && !edge_poison_reason(p.edge))
                step(&p, &in);
        peer_close(&p);
        return 0;
}
