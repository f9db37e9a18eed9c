/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting requests in a gateway's page, and reading what others have counted.
 * Counting costs a few plain stores; the reader distrusts every word.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/counts-layout.h"

/* Writer --------------------------------------------------------------------------------------------------------------- */

struct counts_writer; /* NULL where it is to be written: nothing is counted (tests) */
/* 0 and a sealed memfd, or -errno. */
int counts_writer_new(struct counts_writer **ret_writer);
struct counts_writer *counts_writer_free(struct counts_writer *writer);
int counts_writer_fd(const struct counts_writer *writer); /* to be sent; the writer's */
/* The place of a route of a module, taken when there is none. It stays where it is. When all are taken, it is nobody's: what
 * is counted there counts as having no place. */
struct counts_place *counts_place(struct counts_writer *writer, const char *module, const char *route);

/* What became of a request. */
struct counts_request {
        int status; /* of its answer; 0: there was none */
        uint64_t bytes_in, bytes_out, took_us;
};
void counts_add(struct counts_writer *writer, struct counts_place *place, const struct counts_request *request);
/* A line of the access log, or one that there was no room for. */
void counts_add_line(struct counts_writer *writer, bool lost);
void counts_add_connection(struct counts_writer *writer, enum counts_connection what);

/* Reader --------------------------------------------------------------------------------------------------------------- */

struct counts_values {
#define X(name, n) uint64_t name[n];
        COUNTS_FIELDS
#undef X
};

/* A private copy of a place: texts end, control characters are replaced. */
struct counts_copy {
        char module[64], route[128];
        struct counts_values values;
};

struct counts_reader;
/* Takes the fd (always consumed). 0, -errno, -EPROTO when it is no such page. */
int counts_reader_new(struct counts_reader **ret_reader, int fd);
struct counts_reader *counts_reader_free(struct counts_reader *reader);
uint32_t counts_n_places(const struct counts_reader *reader);
/* What has no place. */
struct counts_others {
        uint64_t no_place;          /* requests */
        uint64_t lines, lines_lost; /* of the access log */
        uint64_t connections[COUNTS_N_CONNECTIONS];
};
void counts_add_others(const struct counts_reader *reader, struct counts_others *sum);
void counts_read(const struct counts_reader *reader, uint32_t place, struct counts_copy *ret_copy);

void counts_sum(struct counts_values *to, const struct counts_values *from);
uint64_t counts_requests(const struct counts_values *values); /* that were answered */
/* Of those, the answer took at most so long for the given part of 1000; 0 when there were none. To the end of a bucket. */
uint64_t counts_quantile_us(const struct counts_values *values, unsigned part);
