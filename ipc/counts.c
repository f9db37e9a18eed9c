/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts: one writer, plain words, nobody waits for anybody. A reader may see a
 * request in one word and not yet in the next; he sees it there the next time.
 */
#include "ipc/counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define COUNTS_SIZE ((sizeof(struct counts_memory) + 4095) & ~(size_t)4095)

/* Writer --------------------------------------------------------------------------------------------------------------- */

struct counts_writer {
        struct counts_memory *memory;
        uint32_t n_places;
        int fd;
        struct counts_place none; /* when all are taken */
};

int counts_writer_new(struct counts_writer **ret_writer) {
        struct counts_writer *w = calloc(1, sizeof(*w));
        void *map;
        int fd = w ? memfd_new_bus("socle-counts", COUNTS_SIZE, 0, &map) : -ENOMEM;

        if (fd < 0) {
                free(w);
                return fd;
        }
        w->fd = fd;
        w->memory = map;
        shared_store64(&w->memory->magic, COUNTS_MAGIC);
        shared_store32(&w->memory->version, COUNTS_VERSION);
        *ret_writer = w;
        return 0;
}

struct counts_writer *counts_writer_free(struct counts_writer *w) {
        if (!w)
                return NULL;
        munmap(w->memory, COUNTS_SIZE);
        fd_close(w->fd);
        free(w);
        return NULL;
}

int counts_writer_fd(const struct counts_writer *w) {
        return w->fd;
}

static void text_put(char *to, size_t size, const char *text) {
        size_t n = strnlen(text, size - 1);

        shared_copy_in((uint8_t *)to, text, n);
}

struct counts_place *counts_place(struct counts_writer *w, const char *module, const char *route) {
        struct counts_place *place;

        if (!w)
                return NULL;
        for (uint32_t i = 0; i < w->n_places; i++) {
                place = &w->memory->places[i];
                if (!strncmp(place->module, module, sizeof(place->module)) && !strncmp(place->route, route, sizeof(place->route)))
                        return place;
        }
        if (w->n_places == COUNTS_PLACES_MAX)
                return &w->none;
        place = &w->memory->places[w->n_places++];
        text_put(place->module, sizeof(place->module), module);
        text_put(place->route, sizeof(place->route), route);
        shared_store32(&w->memory->n_places, w->n_places);
        return place;
}

static void add(_Atomic uint64_t *word, uint64_t n) {
        shared_store_word(word, shared_load_own(word) + n);
}

/* The end of each is twice that of the one before. */
static unsigned bucket_of(uint64_t us) {
        uint64_t n = (us ? us - 1 : 0) / COUNTS_BUCKET_US;
        unsigned bits = n ? 64 - (unsigned)__builtin_clzll(n) : 0;

        return MIN(bits, COUNTS_BUCKETS - 1u);
}

void counts_add(struct counts_writer *w, struct counts_place *place, const struct counts_request *request) {
        unsigned class = (unsigned)request->status / 100 - 1;

        if (!w)
                return;
        if (place == &w->none) {
                add(&w->memory->no_place, 1);
                return;
        }
        add(&place->bytes_in[0], request->bytes_in);
        add(&place->bytes_out[0], request->bytes_out);
        if (class >= COUNTS_CLASSES) {
                add(&place->aborted[0], 1);
                return;
        }
        add(&place->by_class[class], 1);
        add(&place->time_us[0], request->took_us);
        add(&place->buckets[bucket_of(request->took_us)], 1);
}

void counts_add_line(struct counts_writer *w, bool lost) {
        if (w)
                add(lost ? &w->memory->lines_lost : &w->memory->lines, 1);
}

void counts_add_connection(struct counts_writer *w, enum counts_connection what) {
        if (w)
                add(&w->memory->connections[what], 1);
}

/* Reader --------------------------------------------------------------------------------------------------------------- */

struct counts_reader {
        const struct counts_memory *memory;
};

int counts_reader_new(struct counts_reader **ret_reader, int fd) {
        _cleanup_close_ int own = fd;
        struct counts_reader *reader = calloc(1, sizeof(*reader));
        const void *map;
        int r = reader ? memfd_map_bus(own, COUNTS_SIZE, COUNTS_MAGIC, COUNTS_VERSION, &map) : -ENOMEM;

        if (r < 0) {
                free(reader);
                return r;
        }
        reader->memory = map;
        *ret_reader = reader;
        return 0;
}

struct counts_reader *counts_reader_free(struct counts_reader *reader) {
        if (!reader)
                return NULL;
        munmap((void *)(uintptr_t)reader->memory, COUNTS_SIZE);
        free(reader);
        return NULL;
}

uint32_t counts_n_places(const struct counts_reader *reader) {
        return MIN(shared_load32(&reader->memory->n_places), (uint32_t)COUNTS_PLACES_MAX);
}

void counts_add_others(const struct counts_reader *reader, struct counts_others *sum) {
        sum->no_place += shared_load64(&reader->memory->no_place);
        sum->lines += shared_load64(&reader->memory->lines);
        sum->lines_lost += shared_load64(&reader->memory->lines_lost);
        for (unsigned i = 0; i < COUNTS_N_CONNECTIONS; i++)
                sum->connections[i] += shared_load64(&reader->memory->connections[i]);
}

static void text_get(char *ret_text, const char *text, size_t size) {
        shared_copy_out(ret_text, (const uint8_t *)text, size);
        ret_text[size - 1] = '\0';
        for (char *c = ret_text; *c; c++) {
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = '?';
        }
}

void counts_read(const struct counts_reader *reader, uint32_t n, struct counts_copy *ret_copy) {
        const struct counts_place *place = &reader->memory->places[n];

        text_get(ret_copy->module, place->module, sizeof(place->module));
        text_get(ret_copy->route, place->route, sizeof(place->route));
#define X(name, n) shared_copy_words_out(ret_copy->values.name, place->name, n);
        COUNTS_FIELDS
#undef X
}

void counts_sum(struct counts_values *to, const struct counts_values *from) {
#define X(name, n)                                                                                                                         \
        for (unsigned i = 0; i < (n); i++)                                                                                                 \
                to->name[i] += from->name[i];
        COUNTS_FIELDS
#undef X
}

uint64_t counts_requests(const struct counts_values *v) {
        uint64_t n = 0;

        for (unsigned i = 0; i < COUNTS_CLASSES; i++)
                n += v->by_class[i];
        return n;
}

uint64_t counts_quantile_us(const struct counts_values *v, unsigned part) {
        uint64_t all = 0, n = 0, wanted;

        for (unsigned i = 0; i < COUNTS_BUCKETS; i++)
                all += v->buckets[i];
        wanted = all / 1000 * part + (all % 1000 * part + 999) / 1000;
        for (unsigned i = 0; all && i < COUNTS_BUCKETS; i++) {
                n += v->buckets[i];
                if (n >= wanted)
                        return (uint64_t)COUNTS_BUCKET_US << i;
        }
        return 0;
}
