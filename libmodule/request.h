/* SPDX-License-Identifier: Apache-2.0
 *
 * A request and its reply, inside the library.
 */
#pragma once

#include <stdint.h>

#include <socle/module.h>

#include "ipc/frame-layout.h"
#include "ipc/http-payload.h"
#include "libmodule/arena.h"
#include "libmodule/task.h"

struct reply_field {
        char *name, *value;
};
/* What was opened for a reply, and what is said of it; tag NULL: there is none. */
struct reply_file {
        int fd; /* -1: the body is not a file */
        uint64_t offset, size;
        const char *tag, *modified, *content_range;
};
struct socle_reply {
        struct arena *arena;
        int status; /* 0: nothing yet */
        bool streamed, has_length;
        uint64_t length; /* of one that is streamed, when it was said */
        uint32_t n_fields;
        char *type;
        void *body;
        size_t body_size;
        struct reply_file file;
        struct reply_field fields[HTTP_PAYLOAD_HEADERS_MAX];
};

struct socle_request {
        struct task task; /* first */
        struct http_request_payload http;
        const char *method, *path;
        struct socle_reply reply;
        /* From the reply's fields on nothing is zeroed: they are 5 KiB, of which most requests use some hundred bytes. */
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
};

/* Takes the payload. NULL: not well-formed or out of memory (*ret_error says which); the payload is then freed. */
struct socle_request *request_new(const struct frame *frame, uint8_t *payload, uint32_t size, int *ret_error);
struct socle_request *request_free(struct socle_request *req);

/* Takes body, which is malloc'ed. 0 or -errno. */
int reply_take(struct socle_reply *reply, int status, const char *type, void *body, size_t size);
/* The problem document for a handler that returned an error; detail NULL: what the table says. */
void reply_error(struct socle_reply *reply, int error, const char *detail);
/* The whole reply as it goes on the bus. 0 or -errno. */
int reply_encode(const struct socle_reply *reply, uint8_t **ret_data, uint32_t *ret_size);

/* Pure: one parameter of a query, decoded into the arena. NULL when it is not there. */
const char *query_find(struct arena *arena, const char *query, size_t size, const char *name);
