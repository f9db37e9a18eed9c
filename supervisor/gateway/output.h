/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes on their way to a client: a list of chunks. Small answers are copied
 * into pooled chunks, large bodies are taken over as they are, files stay files.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define OUTPUT_CHUNK_ROOM 4048u

struct output_chunk {
        struct output_chunk *next;
        uint8_t *data;  /* own room, or inside `taken` */
        uint8_t *taken; /* malloc'ed, freed with the chunk; NULL for a pooled one */
        size_t taken_size;
        int fd;          /* a file's piece, in place of data; closed with the chunk; -1: it is none */
        uint64_t offset; /* in the file */
        size_t size;
        uint8_t room[];
};

/* Chunks that wait for their next use, and how much all others hold. */
struct output_pool {
        struct output_chunk *free;
        uint32_t n;
        uint64_t used;      /* bytes of memory in the lists, of what is taken over its size, of each file its price */
        uint64_t file_cost; /* what an open file is counted as */
};
void output_pool_deinit(struct output_pool *pool);

struct output {
        struct output_pool *pool;
        struct output_chunk *first, *last;
        size_t size;      /* all bytes that are to be sent */
        size_t file_size; /* those of them that lie in files, and cost no memory */
        uint32_t n_files;
};

void output_init(struct output *out, struct output_pool *pool);
void output_deinit(struct output *out);
/* Copies. 0 or -ENOMEM. */
int output_append(struct output *out, const void *data, size_t size);
/* Room for at most OUTPUT_CHUNK_ROOM bytes in one piece, to be filled and then committed; NULL when out of memory. */
uint8_t *output_reserve(struct output *out, size_t size);
void output_commit(struct output *out, size_t size);
/* Takes the malloc'ed buffer over (also on error); data[0...size) lies in it. 0 or -ENOMEM. */
int output_take(struct output *out, uint8_t *buffer, uint8_t *data, size_t size);
/* Takes the fd over (also on error). 0 or -ENOMEM. */
int output_take_file(struct output *out, int fd, uint64_t offset, uint64_t size);
/* Moves all of `from` behind `to`; what is small goes into the room that is left there. */
void output_splice(struct output *to, struct output *from);
/* Up to max pieces from the front, up to the first file; how many. */
int output_iov(const struct output *out, struct iovec *iov, int max);
/* The file's piece that stands first, or NULL. */
const struct output_chunk *output_file(const struct output *out);
/* What it costs us. */
uint64_t output_kept(const struct output *out);
void output_consume(struct output *out, size_t size);
