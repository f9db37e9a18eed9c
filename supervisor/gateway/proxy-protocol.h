/* SPDX-License-Identifier: Apache-2.0
 *
 * What a proxy says of its client before the client's first byte: the PROXY
 * protocol (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt),
 * versions 1 and 2. Pure: bytes in, in pieces of any size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/address.h"

#define PROXY_LINE_MAX 107u          /* version 1 with its CR LF: section 2.1 */
#define PROXY_HEADER_MAX (16u << 10) /* version 2 may announce 64 KiB; nobody sends as much, HAProxy takes no more than this */

enum proxy_result {
        PROXY_MORE,    /* all input is consumed */
        PROXY_DONE,    /* the header is over; what is behind it is the client's */
        PROXY_REFUSED, /* it is none */
};

struct proxy_parser {
        uint8_t phase;
        uint8_t size; /* of what stands in buffer */
        uint8_t family;
        bool local;              /* the proxy speaks for itself */
        bool ssl_at;             /* the next byte is what an SSL TLV begins with */
        bool secure;             /* the client came to the proxy over TLS: version 2 can say so */
        uint16_t left, tlv_left; /* bytes of the header, of the present TLV */
        struct address client;   /* ADDRESS_NONE: the header names none, so it is the peer */
        uint8_t buffer[PROXY_LINE_MAX + 1];
};

void proxy_parser_init(struct proxy_parser *parser);
/* Goes on with *at ... end and moves *at behind what was consumed: never a byte behind the header. */
enum proxy_result proxy_parser_next(struct proxy_parser *parser, uint8_t **at, uint8_t *end);
