/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics, and the subscriber's side of them.
 *
 * A topic's ring has one writer and any number of readers, of whom the writer
 * knows nothing: it overwrites the oldest records whenever it needs their place.
 * So a reader never holds up anybody, and finds out by itself what it has lost.
 *
 * Overwriting. Positions, alignment, records and pads are those of an edge's
 * ring (edge-ring.c). The writer stores how far it is going to write (reserved),
 * a store fence, then the record, then tail. The reader copies, a load fence,
 * and then looks at `reserved`: only if that lies at most a ring above the
 * record was the copy made of one record; before that it is looked at by nobody.
 * If a word of the copy had come from the writer's next round, the fences would
 * make the reader see that round's `reserved` too. Words and not bytes are
 * copied, each atomically: torn records are thrown away, but there is no torn
 * word and no race.
 *
 * Being overtaken. The reader goes on at `restart`, a record's begin that the
 * writer keeps half a ring behind itself: at the very oldest record it would be
 * overtaken again at once, at the tail it would lose all that is there. Messages
 * are numbered (the frame's correlation), so the next one tells how many were
 * lost, exactly.
 *
 * A hostile writer. Words of its memory are loaded once and checked against what
 * they were; a record is checked in private memory. It can tear records and lie
 * about numbers, in its own topic; the number of lost messages is bounded by the
 * bytes that went by. A violation poisons this reader alone.
 *
 * Sleep. As on an edge: whoever finds nothing stores `armed` = odd on its own
 * page, fences and looks once more; the writer publishes, fences, and looks at
 * `armed` of each listener. One word is for all publishers of a subscription:
 * each rings once for an odd value.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/bell.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/frame.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "ipc/topic-internal.h"

#define RECORDS_PER_READ 4 /* pads, and records that were overwritten while they were copied */

enum { OVERTAKEN = -1 }; /* of take_record(), whose other results are TOPIC_E_* */

static int poison(struct topic_reader *t, enum violation reason) {
        t->poison = reason;
        return TOPIC_E_POISONED;
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static void topic_reader_freep(struct topic_reader **t) {
        topic_reader_free(*t);
}

static int attach(struct topic_reader *t, int fd) {
        struct {
                uint64_t magic;
                uint32_t version, ring_size;
        } begin;
        const void *map;
        int r;

        if (memfd_check(fd, MEMFD_SEALS_BUS, TOPIC_DATA_OFFSET + TOPIC_RING_MIN, TOPIC_DATA_OFFSET + TOPIC_RING_MAX, &t->map_size) < 0)
                return TOPIC_E_POISONED;
        t->size = t->map_size - TOPIC_DATA_OFFSET;
        if (t->size & (t->size - 1))
                return TOPIC_E_POISONED;
        t->scratch = malloc(t->size / 4);
        if (!t->scratch)
                return -ENOMEM;
        r = memfd_map_ro(fd, t->map_size, &map);
        if (r < 0)
                return r;
        t->memory = map;
        t->data = (const _Atomic uint64_t *)((const uint8_t *)map + TOPIC_DATA_OFFSET);
        shared_copy_out(&begin, map, sizeof(begin));
        return begin.magic == TOPIC_MAGIC && begin.version == TOPIC_VERSION && begin.ring_size == t->size ? 0 : TOPIC_E_POISONED;
}

int topic_reader_new(struct topic_reader **ret_reader, int ring_fd, int bell_fd, struct topic_mark begin) {
        _cleanup_(topic_reader_freep) struct topic_reader *t = NULL;
        _cleanup_close_ int ring = ring_fd, bell = bell_fd;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->bell = -1;
        r = attach(t, ring);
        if (r)
                return r;
        r = bell_check(bell);
        if (r < 0)
                return r == -EPROTO ? TOPIC_E_POISONED : r;
        if (begin.position != TOPIC_ALIGNED(begin.position) || begin.number > begin.position / FRAME_SIZE)
                return TOPIC_E_POISONED;
        t->cursor = t->marked = t->tail = t->reserved = begin.position;
        t->number = begin.number;
        t->bell = TAKE_FD(bell);
        *ret_reader = TAKE_PTR(t);
        return 0;
}

struct topic_reader *topic_reader_free(struct topic_reader *t) {
        if (!t)
                return NULL;
        if (t->memory)
                munmap((void *)(uintptr_t)t->memory, t->map_size);
        fd_close(t->bell);
        free(t->scratch);
        free(t);
        return NULL;
}

/* Reading ------------------------------------------------------------------------------------------------------------ */

static int look_at_tail(struct topic_reader *t) {
        uint64_t tail = shared_load64(&t->memory->tail);

        if (tail < t->tail || tail != TOPIC_ALIGNED(tail))
                return poison(t, VIOLATION_TOPIC_TAIL);
        t->tail = tail;
        return 0;
}

/* After a copy: was it made before the writer came by? 0, OVERTAKEN, TOPIC_E_POISONED. */
static int check_copy(struct topic_reader *t) {
        uint64_t reserved;

        shared_fence_loads();
        reserved = shared_load64(&t->memory->reserved);
        if (reserved < t->reserved || reserved < t->tail || reserved != TOPIC_ALIGNED(reserved))
                return poison(t, VIOLATION_TOPIC_WORDS);
        t->reserved = reserved;
        return reserved - t->cursor > t->size ? OVERTAKEN : 0;
}

/* Whatever was published when `restart` was stored is below the tail that is loaded afterwards. */
static int go_on_behind(struct topic_reader *t) {
        uint64_t restart;
        int r;

        restart = shared_load64(&t->memory->restart);
        if (t->ended && restart > t->tail) {
                t->cursor = t->tail; /* it has not ended at all: no more of it */
                return 0;
        }
        r = t->ended ? 0 : look_at_tail(t);
        if (r)
                return r;
        if (restart <= t->cursor || restart > t->tail || restart != TOPIC_ALIGNED(restart))
                return poison(t, VIOLATION_TOPIC_WORDS);
        t->cursor = restart;
        return 0;
}

static int check_record(struct topic_reader *t, const struct frame *frame, uint64_t available) {
        if (frame_check(frame, available) < 0 || TOPIC_ALIGNED((uint64_t)frame->length) > available || frame->kind != FRAME_PUBLISH ||
            frame->flags)
                return poison(t, VIOLATION_TOPIC_HEADER);
        if (frame->length > t->size / 4)
                return poison(t, VIOLATION_TOPIC_SIZE);
        if (frame->correlation < t->number || frame->correlation - t->number > (t->cursor - t->marked) / FRAME_SIZE)
                return poison(t, VIOLATION_TOPIC_NUMBER);
        return 0;
}

/* The record at the cursor, a pad too. 0: *ret_size bytes of payload are in the scratch; UINT32_MAX: it was a pad. */
static int take_record(struct topic_reader *t, struct frame *frame, uint32_t *ret_size) {
        const uint64_t offset = t->cursor & (t->size - 1), to_end = t->size - offset, available = MIN(to_end, t->tail - t->cursor);
        uint64_t header[TOPIC_WORDS(FRAME_SIZE)] = { 0 };
        int r;

        shared_copy_words_out(header, &t->data[TOPIC_WORDS(offset)], TOPIC_WORDS(MIN(available, (uint64_t)FRAME_SIZE)));
        r = check_copy(t);
        if (r)
                return r;
        memcpy(frame, header, sizeof(*frame));
        if (frame->kind == FRAME_PAD) {
                /* A longer one is never needed; and so there are no two of them in a row. */
                if (frame->length != to_end || frame->length > available || frame->length >= t->size / 4)
                        return poison(t, VIOLATION_TOPIC_PAD);
                t->cursor += frame->length;
                *ret_size = UINT32_MAX;
                return 0;
        }
        r = check_record(t, frame, available);
        if (r)
                return r;
        *ret_size = frame->length - FRAME_SIZE;
        shared_copy_words_out(t->scratch, &t->data[TOPIC_WORDS(offset + FRAME_SIZE)], TOPIC_WORDS(*ret_size + sizeof(uint64_t) - 1));
        r = check_copy(t);
        if (!r)
                t->cursor += TOPIC_ALIGNED((uint64_t)frame->length);
        return r;
}

/* What whoever has hung up had published before is the end, however much is written by one who only says that he has gone. */
static int look_for_more(struct topic_reader *t) {
        bool last = t->hung_up;
        int r;

        if (t->ended)
                return TOPIC_E_EMPTY;
        r = look_at_tail(t);
        if (r)
                return r;
        t->ended = last;
        return t->tail == t->cursor ? TOPIC_E_EMPTY : 0;
}

int topic_read(struct topic_reader *t, struct topic_message *ret_message, uint64_t *ret_lost) {
        struct frame frame;
        uint32_t size;
        int r;

        if (t->poison)
                return TOPIC_E_POISONED;
        for (int i = 0; i < RECORDS_PER_READ; i++) {
                r = t->tail == t->cursor ? look_for_more(t) : 0;
                if (!r)
                        r = take_record(t, &frame, &size);
                if (r == OVERTAKEN)
                        r = go_on_behind(t);
                else if (!r && size != UINT32_MAX)
                        break;
                if (r)
                        return r;
                size = UINT32_MAX;
        }
        if (size == UINT32_MAX)
                return TOPIC_E_EMPTY;
        *ret_lost = frame.correlation - t->number;
        *ret_message = (struct topic_message){ .payload = (const uint8_t *)t->scratch, .size = size };
        t->number = frame.correlation + 1;
        t->marked = t->cursor;
        return 0;
}

void topic_reader_on_bell(struct topic_reader *t) {
        bool hung_up;

        if (bell_drain(t->bell, &hung_up) < 0 && !t->poison)
                t->poison = VIOLATION_TOPIC_BELL;
        t->hung_up |= hung_up;
}

bool topic_reader_is_empty(const struct topic_reader *t) {
        if (t->poison || t->tail != t->cursor)
                return false;
        return t->ended || (!t->hung_up && shared_load64(&t->memory->tail) == t->cursor);
}

bool topic_reader_ended(const struct topic_reader *t) {
        return t->ended && t->tail == t->cursor;
}

int topic_reader_wait_fd(const struct topic_reader *t) {
        return t->bell;
}

enum violation topic_reader_violation(const struct topic_reader *t) {
        return t->poison;
}

/* Ears --------------------------------------------------------------------------------------------------------------- */

int ears_new(struct ears **ret_ears) {
        struct ears *ears = calloc(1, sizeof(*ears));
        void *map;
        int fd = ears ? memfd_new_bus("socle-ears", EARS_SIZE, EARS_SIZE, &map) : -ENOMEM;

        if (fd < 0) {
                free(ears);
                return fd;
        }
        ears->fd = fd;
        ears->memory = map;
        ears->memory->magic = EARS_MAGIC;
        ears->memory->version = EARS_VERSION;
        *ret_ears = ears;
        return 0;
}

struct ears *ears_free(struct ears *ears) {
        if (!ears)
                return NULL;
        munmap(ears->memory, EARS_SIZE);
        fd_close(ears->fd);
        free(ears);
        return NULL;
}

int ears_fd(const struct ears *ears) {
        return ears->fd;
}

void ears_arm(struct ears *ears, uint32_t slot) {
        if (!(ears->armed[slot] & 1))
                shared_store32(&ears->memory->armed[slot], ++ears->armed[slot]);
        shared_fence();
}

void ears_disarm(struct ears *ears, uint32_t slot) {
        if (ears->armed[slot] & 1)
                shared_store32(&ears->memory->armed[slot], ++ears->armed[slot]);
}
