/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP over the bus (method 0): one msgpack array each way. Encoded with a
 * bounded writer of our own shape, read through the validating cursor.
 *
 *   request  [1, method str, path str, query str, headers [name, value, ...], body bin, remote str, secure bool]
 *   reply    [1, status int, headers [name, value, ...], body bin or file [offset int, size int]]
 *
 * A file is sent beside the bus, and only where its bytes are wanted (FILE_PASS in ipc/control.def).
 *
 * Header names are lower case. The first item is the version of the form.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/value.h"

#define HTTP_PAYLOAD_VERSION 1
#define HTTP_PAYLOAD_HEADERS_MAX 100

struct http_text {
        const char *text; /* not terminated */
        uint32_t size;
};
struct http_field {
        struct http_text name, value;
};

struct http_request_payload {
        struct http_text method, path, query, remote; /* path: decoded and normalised; query: raw, without '?' */
        bool secure;                                  /* the client came by https */
        const struct http_field *fields;
        uint32_t n_fields;
        const void *body;
        size_t body_size;
};
struct http_reply_payload {
        int status; /* 100...599 */
        const struct http_field *fields;
        uint32_t n_fields;
        const void *body;
        size_t body_size;
        bool is_file; /* the body is this piece of a file, in place of the above */
        uint64_t file_offset, file_size;
};

/* Encodes into one malloc'ed buffer. 0 or -ENOMEM, -EINVAL (too many fields, a size over 4 GiB). */
int http_request_encode(const struct http_request_payload *request, uint8_t **ret_data, uint32_t *ret_size);
int http_reply_encode(const struct http_reply_payload *reply, uint8_t **ret_data, uint32_t *ret_size);
/* Decodes views into data; fields[] is the caller's room. 0 or -EBADMSG. Header names and values are checked
 * against RFC 9110 5.1 and 5.5 (token; no CR, LF or NUL), status against its range. */
int http_request_decode(const void *data, size_t size, struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX],
                        struct http_request_payload *ret_request);
int http_reply_decode(const void *data, size_t size, struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX],
                      struct http_reply_payload *ret_reply);
