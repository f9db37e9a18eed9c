/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer of the admin API without end: lines of NDJSON to a client that may
 * be slow. What it has not taken yet lies in its connection's buffer; when that is
 * full, lines are counted instead, and the count is told as {"lost": N} in their
 * place as soon as the client has read what there was. So a client that does not
 * read costs ADMIN_STREAM_MAX bytes and nobody any time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <event2/http.h>
#include <jansson.h>

#define ADMIN_STREAM_MAX (256u << 10) /* bytes that wait for one client */

/* Embedded in what a follower is. */
struct admin_stream {
        struct evhttp_request *req;
        uint64_t lost;
        void (*on_end)(struct admin_stream *stream); /* the client is gone: the stream is the callee's to free */
};

/* Answers with the head. req and on_end are set. */
void admin_stream_start(struct admin_stream *stream);
/* A line with its newline; NULL: there was no memory for it, and it counts as lost. */
void admin_stream_put(struct admin_stream *stream, const char *line, size_t size);
/* One line of NDJSON, malloc'ed and terminated behind its newline; takes the reference. NULL: out of memory. */
char *admin_stream_line(json_t *j, size_t *ret_size);
