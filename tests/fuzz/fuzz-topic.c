/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic whose publisher is the fuzzer: it lays bytes and whole records into
 * its ring, moves its words, also between two loads, and hangs up. Whatever it
 * does, the reader stays within the ring, takes no byte twice in one read of a
 * record, counts no more as lost than can have gone by, and ends poisoned with a
 * reason or goes on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "ipc/topic-layout.h"
#include "ipc/topic.h"

#define RING 4096u
#define RECORDS_PER_READ 4u /* as topic-read.c has it: a header and a payload each */
#define CHECK(condition)                                                                                                                   \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                                 \
                        abort();                                                                                                           \
                }                                                                                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *mapped;
static uint64_t last_end; /* of the copy before, as an offset: a payload begins behind its header */
static unsigned n_copies, n_loads;

static struct topic_memory *restless;
static uint64_t restless_step;

void shared_fetching(const uint8_t *from, uint64_t size) {
        uint64_t at;

        if (!mapped) {
                mapped = from; /* the first thing that is read when it attaches */
                return;
        }
        CHECK(from >= mapped + TOPIC_DATA_OFFSET);
        at = (uint64_t)(from - mapped) - TOPIC_DATA_OFFSET;
        CHECK(at <= RING && size <= RING - at);
        CHECK(++n_copies <= 2 * RECORDS_PER_READ);
        CHECK(size <= FRAME_SIZE || at == last_end);
        last_end = at + size;
}

void shared_loading(const void *word) {
        CHECK(++n_loads <= 6 * RECORDS_PER_READ);
        if (restless) {
                restless->reserved += restless_step;
                restless->tail += restless_step / 2 & ~UINT64_C(15);
        }
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

struct publisher {
        struct topic_reader *reader;
        struct topic_memory *memory;
        uint8_t *ring;
        int bell;
        uint64_t tail, number, read;
};

static void publisher_open(struct publisher *p, struct input *in) {
        int fd = memfd_new("fuzz", TOPIC_DATA_OFFSET + RING), bell[2];
        struct topic_mark mark = { .position = take(in, 1) * 16 };
        void *map;

        CHECK(fd >= 0 && memfd_map_rw(fd, TOPIC_DATA_OFFSET + RING, &map) == 0);
        CHECK(memfd_seal(fd, MEMFD_SEALS_BUS) == 0 && fd_pipe(bell) == 0);
        p->memory = map;
        p->ring = (uint8_t *)map + TOPIC_DATA_OFFSET;
        p->memory->magic = TOPIC_MAGIC;
        p->memory->version = TOPIC_VERSION;
        p->memory->ring_size = RING;
        p->tail = mark.position;
        p->memory->tail = p->memory->reserved = p->memory->restart = mark.position;
        p->bell = bell[1];
        mapped = NULL;
        CHECK(topic_reader_new(&p->reader, fd, bell[0], mark) == 0);
}

static void publisher_close(struct publisher *p) {
        topic_reader_free(p->reader);
        munmap(p->memory, TOPIC_DATA_OFFSET + RING);
        fd_close(p->bell);
}

/* A record that is right but for what the input says. */
static void put_record(struct publisher *p, struct input *in) {
        uint32_t size = (uint32_t)take(in, 2) % (RING / 4 - FRAME_SIZE + 2);
        struct frame frame = { .length = FRAME_SIZE + size, .kind = FRAME_PUBLISH, .correlation = p->number };
        uint64_t to_end = RING - (p->tail & (RING - 1)), need = (FRAME_SIZE + (uint64_t)size + 15) & ~UINT64_C(15);
        uint8_t wrong = (uint8_t)take(in, 1);

        if (need > to_end) {
                frame = (struct frame){ .kind = FRAME_PAD, .length = (uint32_t)to_end };
                need = to_end;
        } else {
                p->number++;
        }
        if (wrong == 1)
                frame.length = (uint32_t)take(in, 4);
        if (wrong == 2)
                frame.kind = (uint8_t)take(in, 1);
        if (wrong == 3)
                frame.correlation += take(in, 1);
        for (uint64_t i = 0; i < MIN(need, (uint64_t)FRAME_SIZE); i++)
                p->ring[(p->tail + i) & (RING - 1)] = ((const uint8_t *)&frame)[i];
        p->tail += need;
}

static void put_bytes(struct publisher *p, struct input *in) {
        uint64_t at = take(in, 2);

        for (uint64_t n = take(in, 1); n && in->left; n--)
                p->ring[at++ & (RING - 1)] = (uint8_t)take(in, 1);
}

static void read_all(struct publisher *p) {
        struct topic_message m;
        uint64_t lost;
        int r;

        /* As many as a ring has, and then it is the turn of others. */
        for (unsigned n = 0; n < 2 * RING / FRAME_SIZE; n++) {
                n_copies = n_loads = 0;
                last_end = UINT64_MAX;
                r = topic_read(p->reader, &m, &lost);
                CHECK(r == 0 || r == TOPIC_E_EMPTY || r == TOPIC_E_POISONED);
                CHECK((r == TOPIC_E_POISONED) == (topic_reader_violation(p->reader) != VIOLATION_NONE));
                if (r)
                        return;
                CHECK(m.size <= RING / 4 - FRAME_SIZE);
                CHECK(lost < UINT64_MAX / FRAME_SIZE);
                for (uint32_t i = 0; i < m.size; i++)
                        p->read += m.payload[i];
        }
}

static void step(struct publisher *p, struct input *in) {
        switch (take(in, 1) % 10) {
        case 0:
        case 1:
        case 2:
                put_record(p, in);
                break;
        case 3:
                put_bytes(p, in);
                break;
        case 4:
        case 5:
                p->memory->reserved = p->tail;
                p->memory->tail = p->tail;
                break;
        case 6:
                p->memory->restart = p->tail - take(in, 1) * 16;
                break;
        case 7:
                p->tail += take(in, 2) * 8;
                p->memory->reserved += take(in, 1) * 16;
                break;
        case 8:
                restless = p->memory;
                restless_step = take(in, 1) * 16;
                break;
        default:
                p->bell = fd_close(p->bell);
                topic_reader_on_bell(p->reader);
                break;
        }
        read_all(p);
        restless = NULL;
        n_loads = 0;
        if (topic_reader_is_empty(p->reader))
                CHECK(!topic_reader_violation(p->reader));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct input in = { data, size };
        struct publisher p = { 0 };

        publisher_open(&p, &in);
        while (in.left && !topic_reader_violation(p.reader))
                step(&p, &in);
        publisher_close(&p);
        return 0;
}
