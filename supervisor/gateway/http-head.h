/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of one request head to what it says. Pure: the head lies in one
 * piece, field names are made lower case in place, the result holds views.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/http-payload.h"
#include "supervisor/gateway/refusal.h"

struct http_head {
        struct http_text method, target;
        struct http_text host;                              /* value of Host; text NULL when there is none */
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX]; /* end-to-end ones: what concerns this hop only is left out */
        uint32_t n_fields;
        uint8_t minor; /* HTTP/1.minor: 0 or 1 */
        bool keep_alive;
        bool expects_continue;
        bool chunked;
        bool has_length;
        uint64_t length; /* of the body, when not chunked */
};

/* data[0...size) begins with the request line and ends with the empty line, every line in CR LF. 0 or the refusal. */
int http_head_parse(uint8_t *data, size_t size, struct http_head *ret_head);
