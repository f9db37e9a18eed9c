/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of a connection to requests: heads, pieces of bodies, ends.
 * Pure: no sockets, no clock; the caller pulls events out of what it received.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/gateway/chunked.h"
#include "supervisor/gateway/http-head.h"
#include "supervisor/gateway/refusal.h"

#define HTTP_LINE_MAX 8192u
#define HTTP_FIELDS_MAX 32768u /* bytes of all header lines */

enum http_event {
        HTTP_EVENT_MORE,    /* all input is consumed */
        HTTP_EVENT_HEAD,    /* *head is filled: views that are valid until the next call */
        HTTP_EVENT_BODY,    /* a piece of the body: a view into the input */
        HTTP_EVENT_END,     /* the request is whole; the next one may follow */
        HTTP_EVENT_REFUSED, /* refusal says why; nothing more can be read */
        HTTP_EVENT_FAILED,  /* out of memory */
};

struct http_parser {
        uint8_t phase;
        uint8_t n_empty; /* empty lines before the request line */
        bool begun;      /* there are bytes of a head */
        bool line_done;  /* the request line is over */
        bool after_cr;   /* the last byte was the CR of a line's end */
        enum refusal refusal;
        uint32_t line_size; /* of the current line */
        uint32_t fields_size;
        uint32_t held_size, held_room;
        uint8_t *held; /* a head that came in several pieces */
        uint64_t left; /* of a body with a length */
        struct chunked chunked;
};

struct http_input {
        uint8_t *at, *end; /* what was received; field names are made lower case in it */
};

void http_parser_init(struct http_parser *p);
void http_parser_deinit(struct http_parser *p);
/* Goes on with the input until something is to be said. For BODY *ret_piece and *ret_size are set. */
enum http_event http_parser_next(struct http_parser *p, struct http_input *in, struct http_head *head, const uint8_t **ret_piece,
                                 size_t *ret_size);

/* Has a request begun that is not whole yet? */
static inline bool http_parser_in_head(const struct http_parser *p) {
        return p->begun;
}
/* Is a body's end all that comes next? */
bool http_parser_at_end(const struct http_parser *p);
bool http_parser_in_body(const struct http_parser *p);
/* Bytes of the body that were announced and have not come: of all of it, or of its present chunk. */
uint64_t http_parser_due(const struct http_parser *p);
