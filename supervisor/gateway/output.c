/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of chunks. The pool is a stack: the chunk used last is the one that is
 * still in the cache.
 */
#include "supervisor/gateway/output.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"

#define POOL_MAX 256u

void output_pool_deinit(struct output_pool *pool) {
        struct output_chunk *chunk;

        while ((chunk = pool->free)) {
                pool->free = chunk->next;
                free(chunk);
        }
        pool->n = 0;
}

static struct output_chunk *chunk_new(struct output_pool *pool) {
        struct output_chunk *chunk = pool->free;

        if (chunk) {
                pool->free = chunk->next;
                pool->n--;
        } else {
                chunk = malloc(sizeof(*chunk) + OUTPUT_CHUNK_ROOM);
                if (!chunk)
                        return NULL;
        }
        pool->used += OUTPUT_CHUNK_ROOM;
        chunk->next = NULL;
        chunk->data = chunk->room;
        chunk->taken = NULL;
        chunk->fd = -1;
        chunk->size = 0;
        return chunk;
}

static bool is_file(const struct output_chunk *chunk) {
        return chunk->fd >= 0;
}

static void chunk_free(struct output_pool *pool, struct output_chunk *chunk) {
        if (is_file(chunk)) {
                fd_close(chunk->fd);
                pool->used -= pool->file_cost;
                free(chunk);
                return;
        }
        pool->used -= chunk->taken ? chunk->taken_size : OUTPUT_CHUNK_ROOM;
        if (chunk->taken || pool->n == POOL_MAX) {
                free(chunk->taken);
                free(chunk);
                return;
        }
        chunk->next = pool->free;
        pool->free = chunk;
        pool->n++;
}

void output_init(struct output *out, struct output_pool *pool) {
        *out = (struct output){ .pool = pool };
}

void output_deinit(struct output *out) {
        struct output_chunk *chunk;

        while ((chunk = out->first)) {
                out->first = chunk->next;
                chunk_free(out->pool, chunk);
        }
        out->last = NULL;
        out->size = out->file_size = 0;
        out->n_files = 0;
}

static void add(struct output *out, struct output_chunk *chunk) {
        if (out->last)
                out->last->next = chunk;
        else
                out->first = chunk;
        out->last = chunk;
}

static size_t chunk_left(const struct output_chunk *chunk) {
        return chunk->taken || is_file(chunk) ? 0 : OUTPUT_CHUNK_ROOM - (size_t)(chunk->data - chunk->room) - chunk->size;
}

uint8_t *output_reserve(struct output *out, size_t size) {
        struct output_chunk *chunk = out->last;

        assert(size <= OUTPUT_CHUNK_ROOM);
        if (!chunk || chunk_left(chunk) < size) {
                chunk = chunk_new(out->pool);
                if (!chunk)
                        return NULL;
                add(out, chunk);
        }
        return chunk->data + chunk->size;
}

void output_commit(struct output *out, size_t size) {
        assert(out->last && size <= chunk_left(out->last));
        out->last->size += size;
        out->size += size;
}

int output_append(struct output *out, const void *data, size_t size) {
        const uint8_t *at = data;

        while (size) {
                uint8_t *room = output_reserve(out, 1);
                size_t n;

                if (!room)
                        return -ENOMEM;
                n = MIN(size, chunk_left(out->last));
                memcpy(room, at, n);
                output_commit(out, n);
                at += n;
                size -= n;
        }
        return 0;
}

int output_take(struct output *out, uint8_t *buffer, uint8_t *data, size_t size) {
        struct output_chunk *chunk = malloc(sizeof(*chunk));

        if (!chunk) {
                free(buffer);
                return -ENOMEM;
        }
        *chunk = (struct output_chunk){ .data = data, .taken = buffer, .taken_size = size, .fd = -1, .size = size };
        out->pool->used += size;
        add(out, chunk);
        out->size += size;
        return 0;
}

int output_take_file(struct output *out, int fd, uint64_t offset, uint64_t size) {
        struct output_chunk *chunk = malloc(sizeof(*chunk));

        if (!chunk) {
                fd_close(fd);
                return -ENOMEM;
        }
        *chunk = (struct output_chunk){ .fd = fd, .offset = offset, .size = size };
        out->pool->used += out->pool->file_cost;
        out->n_files++;
        add(out, chunk);
        out->size += size;
        out->file_size += size;
        return 0;
}

/* Short answers that nobody takes would else hold a whole chunk each. */
static void merge(struct output *to, struct output *from) {
        struct output_chunk *chunk;

        while (to->last && (chunk = from->first) && !chunk->taken && !is_file(chunk) && chunk->size <= chunk_left(to->last)) {
                memcpy(to->last->data + to->last->size, chunk->data, chunk->size);
                output_commit(to, chunk->size);
                output_consume(from, chunk->size);
        }
}

void output_splice(struct output *to, struct output *from) {
        merge(to, from);
        if (!from->first)
                return;
        if (to->last)
                to->last->next = from->first;
        else
                to->first = from->first;
        to->last = from->last;
        to->size += from->size;
        to->file_size += from->file_size;
        to->n_files += from->n_files;
        from->first = from->last = NULL;
        from->size = from->file_size = 0;
        from->n_files = 0;
}

int output_iov(const struct output *out, struct iovec *iov, int max) {
        int n = 0;

        for (const struct output_chunk *chunk = out->first; chunk && n < max && !is_file(chunk); chunk = chunk->next) {
                if (chunk->size)
                        iov[n++] = (struct iovec){ chunk->data, chunk->size };
        }
        return n;
}

const struct output_chunk *output_file(const struct output *out) {
        return out->first && is_file(out->first) ? out->first : NULL;
}

uint64_t output_kept(const struct output *out) {
        return out->size - out->file_size + out->n_files * out->pool->file_cost;
}

static void chunk_consume(struct output *out, struct output_chunk *chunk, size_t size) {
        if (is_file(chunk)) {
                chunk->offset += size;
                out->file_size -= size;
        } else {
                chunk->data += size;
        }
        chunk->size -= size;
        out->size -= size;
}

void output_consume(struct output *out, size_t size) {
        assert(size <= out->size);
        while (out->first) {
                struct output_chunk *chunk = out->first;
                size_t n = MIN(size, chunk->size);

                chunk_consume(out, chunk, n);
                size -= n;
                if (chunk->size)
                        return;
                out->n_files -= is_file(chunk);
                out->first = chunk->next;
                if (!out->first)
                        out->last = NULL;
                chunk_free(out->pool, chunk);
        }
}
