/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP response, parsed as its bytes arrive. No sockets here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <llhttp.h>

#define RESPONSE_BODY_MAX (64u << 20)

enum {
        _RESPONSE_E_SUCCESS,
        RESPONSE_E_INVALID,   /* not HTTP */
        RESPONSE_E_TOO_LARGE, /* body above the limit */
        RESPONSE_E_ENOUGH,    /* on_piece() wants no more */
        RESPONSE_E_SHORT,     /* it ended in the middle, or before it began */
};

struct response {
        int status;
        char content_type[64]; /* without parameters, lower case; "" when there is none */
        char *body;            /* terminated; NULL when empty */
        size_t size;
        bool complete;
        /* Set after init: the body of a 200 is handed on in pieces as it comes, and not kept. Non-zero ends it with RESPONSE_E_ENOUGH. */
        int (*on_piece)(const char *piece, size_t size, void *userdata);
        void *userdata;
        /* the parser's */
        llhttp_t parser;
        size_t max, n_allocated;
        char field[16], value[64]; /* beginnings: longer ones are of no interest */
        bool in_value, started;
        int error;
};

void response_init(struct response *response, size_t max_body);
void response_deinit(struct response *response);

/* Any number of bytes; what follows a complete response is ignored. 0, RESPONSE_E_* or -ENOMEM. */
int response_feed(struct response *response, const void *data, size_t size);
/* The peer has closed: 0 when that is the end of a whole response, else RESPONSE_E_SHORT. */
int response_end(struct response *response);
