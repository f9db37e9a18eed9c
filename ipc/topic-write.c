/* SPDX-License-Identifier: Apache-2.0
 *
 * The publisher's side of a topic: its ring, and the listeners that it wakes.
 * Nothing here waits for a subscriber or believes one: of a subscriber's memory
 * one word is read, and the most that it can ask for is a byte in a pipe.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/bell.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "ipc/topic-internal.h"

/* The ring ----------------------------------------------------------------------------------------------------------- */

static uint64_t map_size(const struct topic_writer *w) {
        return TOPIC_DATA_OFFSET + w->size;
}

static void topic_writer_freep(struct topic_writer **w) {
        topic_writer_free(*w);
}

int topic_writer_new(struct topic_writer **ret_writer, uint32_t ring_size) {
        _cleanup_(topic_writer_freep) struct topic_writer *w = NULL;
        void *map;

        if (ring_size < TOPIC_RING_MIN || ring_size > TOPIC_RING_MAX || (ring_size & (ring_size - 1)))
                return -EINVAL;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->size = ring_size;
        w->fd = memfd_new_bus("socle-topic", map_size(w), TOPIC_DATA_OFFSET, &map);
        if (w->fd < 0)
                return w->fd;
        w->memory = map;
        w->data = (_Atomic uint64_t *)((uint8_t *)map + TOPIC_DATA_OFFSET);
        w->memory->magic = TOPIC_MAGIC;
        w->memory->version = TOPIC_VERSION;
        w->memory->ring_size = ring_size;
        *ret_writer = TAKE_PTR(w);
        return 0;
}

struct topic_writer *topic_writer_free(struct topic_writer *w) {
        if (!w)
                return NULL;
        if (w->memory)
                munmap(w->memory, map_size(w));
        fd_close(w->fd);
        free(w);
        return NULL;
}

int topic_writer_fd(const struct topic_writer *w) {
        return w->fd;
}

struct topic_mark topic_writer_mark(const struct topic_writer *w) {
        return (struct topic_mark){ .position = w->tail, .number = w->number };
}

uint32_t topic_payload_max(uint32_t ring_size) {
        return ring_size / 4 - FRAME_SIZE;
}

/* Words, so that a reader in the middle of them reads old ones or new ones and is allowed to by the language. */
static void put_words(struct topic_writer *w, uint64_t position, const void *bytes, uint64_t size) {
        const uint8_t *from = bytes;
        _Atomic uint64_t *to = &w->data[TOPIC_WORDS(position & (w->size - 1))];

        for (; size; to++) {
                uint64_t word = 0, n = MIN(size, (uint64_t)sizeof(word));

                memcpy(&word, from, n);
                shared_store_word(to, word);
                from += n;
                size -= n;
        }
}

static uint64_t record_length(const struct topic_writer *w, uint64_t position) {
        uint64_t word = shared_load_own(&w->data[TOPIC_WORDS(position & (w->size - 1))]);
        uint32_t length;

        static_assert(offsetof(struct frame, length) == 0, "a record begins with its length");
        memcpy(&length, &word, sizeof(length));
        return TOPIC_ALIGNED((uint64_t)length);
}

/* Says what is about to be overwritten, before it is. Who copies meanwhile finds out, and goes on at `restart`: far enough
 * from us that it is not overtaken again at once. No record with its pad is longer than half a ring, so there is one. */
static void reserve(struct topic_writer *w, uint64_t end) {
        while (w->restart + w->size / 2 < end)
                w->restart += record_length(w, w->restart);
        shared_store64(&w->memory->restart, w->restart);
        shared_store64(&w->memory->reserved, end);
        shared_fence_stores();
}

int topic_write(struct topic_writer *w, const void *payload, uint32_t size) {
        struct frame frame = { .kind = FRAME_PUBLISH, .correlation = w->number };
        uint64_t to_end = w->size - (w->tail & (w->size - 1)), need, begin = w->tail;

        if (size > topic_payload_max((uint32_t)w->size))
                return TOPIC_E_TOO_LARGE;
        frame.length = FRAME_SIZE + size;
        need = TOPIC_ALIGNED((uint64_t)frame.length);
        if (need > to_end)
                begin += to_end;
        reserve(w, begin + need);
        if (need > to_end) {
                struct frame pad = { .length = (uint32_t)to_end, .kind = FRAME_PAD };

                put_words(w, w->tail, &pad, MIN(to_end, (uint64_t)FRAME_SIZE));
        }
        put_words(w, begin, &frame, FRAME_SIZE);
        if (size)
                put_words(w, begin + FRAME_SIZE, payload, size);
        if (need - frame.length >= sizeof(uint64_t)) /* what no word of the payload has filled up */
                put_words(w, begin + need - sizeof(uint64_t), &(uint64_t){ 0 }, sizeof(uint64_t));
        w->tail = begin + need;
        w->number++;
        shared_store64(&w->memory->tail, w->tail);
        return 0;
}

/* Listeners ---------------------------------------------------------------------------------------------------------- */

static void topic_listener_freep(struct topic_listener **l) {
        topic_listener_free(*l);
}

static int listen_to(struct topic_listener *l, int fd) {
        const void *map;
        int r = memfd_map_bus(fd, EARS_SIZE, EARS_MAGIC, EARS_VERSION, &map);

        if (r < 0)
                return r == -EPROTO ? TOPIC_E_POISONED : r;
        l->ears = map;
        return 0;
}

int topic_listener_new(struct topic_listener **ret_listener, int ears_fd, uint32_t slot) {
        _cleanup_(topic_listener_freep) struct topic_listener *l = NULL;
        _cleanup_close_ int ears = ears_fd;
        int bell[2], r;

        if (slot >= EARS_MAX)
                return TOPIC_E_POISONED;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->slot = slot;
        l->bell_read = l->bell_write = -1;
        r = listen_to(l, ears);
        if (r)
                return r;
        r = fd_pipe(bell);
        if (r < 0)
                return r;
        l->bell_read = bell[0];
        l->bell_write = bell[1];
        *ret_listener = TAKE_PTR(l);
        return 0;
}

struct topic_listener *topic_listener_free(struct topic_listener *l) {
        if (!l)
                return NULL;
        if (l->ears)
                munmap((void *)(uintptr_t)l->ears, EARS_SIZE);
        fd_close(l->bell_read);
        fd_close(l->bell_write);
        free(l);
        return NULL;
}

int topic_listener_fd(const struct topic_listener *l) {
        return l->bell_read;
}

void topic_listener_sent(struct topic_listener *l) {
        l->bell_read = fd_close(l->bell_read);
}

int topic_listener_ring(struct topic_listener *l) {
        uint32_t armed = shared_load32(&l->ears->armed[l->slot]);

        if (!(armed & 1) || armed == l->rung)
                return 0;
        l->rung = armed;
        return bell_write(l->bell_write);
}

bool topic_listener_is_gone(const struct topic_listener *l) {
        return bell_is_deaf(l->bell_write);
}
