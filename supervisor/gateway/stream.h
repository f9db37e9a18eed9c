/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes on behind a request while it is handled: its body on the way to the
 * module, and the answer's on the way to the client. See stream.c for the bounds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/edge.h"
#include "supervisor/gateway/gateway.h"

#define STREAM_NO_LENGTH UINT64_MAX

enum {
        _STREAM_E_SUCCESS,
        STREAM_E_ENDED,    /* the answer is whole */
        STREAM_E_LENGTH,   /* it is longer or shorter than the module had said */
        STREAM_E_UNOPENED, /* the worker has not said that there would be parts */
        STREAM_E_SIZE,     /* more than it may send, or not as it must be */
};

struct stream {
        struct request *request;
        uint64_t moved_ns; /* when something last went on */

        /* the request's body */
        bool takes_body;       /* it goes on as it comes */
        bool body_whole;       /* all of it has come */
        bool body_end_sent;    /* and the worker was told */
        bool continues;        /* the client waits for 100 Continue */
        struct output pending; /* what has not gone on */
        uint32_t sending;      /* bytes of its first piece that wait for room on the edge */
        uint64_t n_sent, granted;
        struct edge_outgoing data;

        /* the answer's */
        bool begun; /* its head was */
        bool chunked;
        bool dropped; /* nobody is sent it: it is HEAD's */
        bool crediting;
        uint64_t left; /* of what the module said that there would be, or STREAM_NO_LENGTH */
        uint64_t n_received, allowed;
        struct edge_outgoing credit;
        uint8_t credit_payload[8];
};

/* Sets request->stream. NULL when out of memory. */
struct stream *stream_new(struct request *request);
struct stream *stream_free(struct stream *s); /* NULL is allowed; returns NULL */

/* The request is not at its instance any more: what waits on the edge does not go out. */
void stream_leave(struct stream *s);
/* Has a part of it gone on, so that it cannot be done anew elsewhere? */
bool stream_has_moved(const struct stream *s);
/* What may still come of one that was given up, in bytes. */
uint64_t stream_late_max(void);

/* DATA, END or CREDIT of the instance that has it. 0, STREAM_E_* or -ENOMEM. */
int stream_on_part(struct stream *s, const struct edge_message *m);

/* A piece of the request's body. 0 or -ENOMEM. */
int stream_add_body(struct stream *s, const void *data, size_t size);
/* Its rest is not wanted any more. */
void stream_drop_body(struct stream *s);
/* Is there no room for more of it now? */
bool stream_is_full(const struct stream *s);
/* What of it can go on does. */
void stream_send_body(struct stream *s);
/* The answer's turn to be sent has come; so many bytes have not been taken yet. */
void stream_grant(struct stream *s, size_t n_kept);

/* When its worker is late if nothing goes on; UINT64_MAX: it is the client that is waited for. */
uint64_t stream_due_ns(const struct stream *s);
