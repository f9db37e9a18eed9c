/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer in HTTP/1.1: what a module said, without what is not for it to say.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/http-payload.h"
#include "supervisor/gateway/output.h"

#define RESPONSE_COPY_MAX 8192u /* bodies up to this are copied behind their head: one piece for the kernel */
#define RESPONSE_NO_LENGTH UINT64_MAX

/* Of the request that is answered. */
struct response_context {
        bool head;       /* HEAD: no body, but its length */
        bool keep_alive; /* the connection goes on */
        uint8_t minor;   /* HTTP/1.minor of the request */
        const char *date;
};

/* A piece of a file. */
struct response_file {
        int fd; /* -1: nobody wants its bytes, only how many they are */
        uint64_t offset, size;
};

struct response {
        int status; /* 200...599 */
        const struct http_field *fields;
        uint32_t n_fields;
        const void *body;
        size_t body_size;
        bool streamed;                    /* the body comes in pieces, behind the head */
        uint64_t length;                  /* of one that is streamed: how many bytes there will be, or RESPONSE_NO_LENGTH */
        uint8_t *taken;                   /* malloc'ed buffer in which the body lies, handed over; or NULL: the body is copied */
        const struct response_file *file; /* the body, in place of the above; or NULL */
};

/* `taken` and the file are consumed in every case. 0 or -ENOMEM. */
int response_write(struct output *out, const struct response *response, const struct response_context *context);
/* Of one that is streamed: its head alone, then its pieces (each not empty), then its end. 0 or -ENOMEM. */
int response_write_head(struct output *out, const struct response *response, const struct response_context *context);
int response_write_piece(struct output *out, const void *data, size_t size, bool chunked);
int response_write_end(struct output *out, bool chunked);
/* RFC 9112 6.3 */
bool response_has_body(int status, bool head);
/* How the end of one that is streamed is told: by chunks; else by its length or, without one, by the connection's. */
bool response_is_chunked(const struct response *response, const struct response_context *context);
