/* SPDX-License-Identifier: Apache-2.0
 *
 * One request on its way from a client through a module and back. It belongs to
 * its client's list, in the order in which answers must go out, and meanwhile to
 * its module's queue or to the instance that works on it. A call for an admin is
 * one, too, without a client (admin-call.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/edge.h"
#include "ipc/trace.h"
#include "supervisor/gateway/forwarded.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/problem.h"
#include "supervisor/gateway/upstream.h"

enum request_state {
        REQUEST_READING,  /* its body is not whole */
        REQUEST_WAITING,  /* for an instance: in upstream->waiting */
        REQUEST_SENT,     /* in instance->sent; its answer may have begun */
        REQUEST_ANSWERED, /* `answer` is whole */
};

struct admin_call;
struct kept_head;
struct stream;

struct request {
        TAILQ_ENTRY(request) in_client;
        TAILQ_ENTRY(request) in_upstream;
        struct request *next_free;
        struct gateway *gateway;
        struct client *client;   /* NULL: nobody's, it is a call */
        struct admin_call *call; /* NULL: it is HTTP */
        struct upstream *upstream;
        struct route_settings settings; /* of HTTP that has an upstream */
        struct instance *instance;
        const char *version; /* of the instance that may have it, its owner's; NULL: the chosen one's */
        enum request_state state;
        struct forwarded origin; /* whose it is, and how it came */
        int status;              /* of its answer, once that has begun */
        uint64_t begun_ns, bytes_in, bytes_out;
        struct access_kept *access; /* for the access log */
        bool head, keep_alive;
        bool idempotent; /* it may be done twice */
        int repeated;    /* it has been, not a third time: the error_code of the first; 0: it has not */
        uint8_t minor;

        /* on the bus */
        struct trace trace;
        uint64_t id; /* correlation; 0: none */
        uint8_t *payload;
        uint32_t payload_size;
        struct edge_outgoing out;
        uint64_t position;     /* in the edge's ring behind the request; UINT64_MAX: not all of it is there */
        uint64_t sent_version; /* of the directory by which it was */
        struct deadline deadline;
        struct stream *stream; /* NULL: what goes to and fro is whole */
        int file_fd;           /* that came for its answer; -1: none */
        bool file_lost;        /* one came, and we could not have it */

        /* while the body comes */
        struct kept_head *kept;
        uint8_t *body;
        size_t body_size, body_room, body_max;
        uint64_t n_charged; /* bytes of it and of `kept` that count in gateway->n_charged */
        bool discards;      /* it is answered already */
        bool cut;           /* its answer has no end */

        struct output answer;
};

/* Pooled; client: whose it is, or NULL. NULL when out of memory. */
struct request *request_new(struct gateway *gateway, struct client *client);
void request_free(struct request *request); /* not in any list any more */
/* What came for an answer that will be another. */
void request_forget_file(struct request *request);

/* Bytes have gone to and fro behind it: the worker has begun it, whatever it says, and it cannot be repeated. */
bool request_has_moved(const struct request *request);
/* Of what a worker had begun when it died, or when its time was over, what may be done twice is, once: a request that kills whoever
 * handles it ends two workers at most, however many there are. True: this was that once. */
bool request_may_repeat(struct request *request, int error);

/* Takes a copy of what the head said, for when the body is whole. 0 or -ENOMEM. */
int request_keep(struct request *request, const struct http_request_payload *q);
/* 0, -EMSGSIZE when it is longer than body_max, -ENOMEM (also when all bodies together are more than may be). */
int request_add_body(struct request *request, const uint8_t *data, size_t size, uint64_t expected);
/* Encodes for the bus. 0, -ENOMEM or -EINVAL. */
int request_encode(struct request *request, const struct http_request_payload *q);
int request_encode_kept(struct request *request);

/* An answer that is streamed: its head (request->stream takes what follows), and its end. The request is at its instance until it is
 * finished. */
void request_begin(struct request *request, struct response *response);
void request_finish(struct request *request);

/* Answering. The request must not be in a list of its module any more; the client is touched, a call is told and freed. Of an
 * answer that has begun already nothing can be said but that it ends here: it is cut, and the connection with it. */
void request_answer(struct request *request, const struct response *response);
void request_problem(struct request *request, const struct problem *problem);
void request_error(struct request *request, int error); /* enum error_code */
void request_too_large(struct request *request);        /* its body is more than its module takes */
