/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a connection is: the peer's, or whose a trusted proxy says it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/address.h"
#include "supervisor/gateway/forwarded.h"

struct client;
struct client_count;
struct gateway;
struct http_input;
struct proxy_parser;
struct sockaddr_storage;

struct client_origin {
        struct address address; /* whoever speaks HTTP with us: the peer, or whom its PROXY header names */
        bool trusted;           /* what it says of others is believed */
        bool secure;            /* the PROXY header says that it came over TLS */
        uint8_t text_size;
        char text[ADDRESS_TEXT_SIZE];
        struct proxy_parser *proxy; /* a PROXY header is to come first */
        struct client_count *count; /* NULL: it is not counted */
};

/* `proxy`: the connection must begin with a PROXY header. 0, -EPERM: the peer may not send one, -EUSERS: it has too many
 * connections, -ENOMEM; what is refused is counted and told. */
int client_origin_init(struct client_origin *origin, struct gateway *g, const struct sockaddr_storage *peer, bool proxy);
void client_origin_deinit(struct client_origin *origin, struct gateway *g);
/* Takes the PROXY header out of the input. 0 when it is over, 1 when there must be more, -errno. */
int client_origin_take(struct client_origin *origin, struct gateway *g, struct http_input *in);
/* Whose a request with this head is; what is not true of it is taken out of the head. */
struct forwarded client_origin_of(const struct client_origin *origin, const struct gateway *g, struct http_head *head);
