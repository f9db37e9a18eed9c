/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client sends: heads, bodies and ends out of what was received, as long
 * as there is room, and what must wait until there is.
 */
#include "supervisor/gateway/client-internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"
#include "supervisor/gateway/upstream.h"

/* Also when it will be: a chunk that is announced is not waited for when it cannot be taken. */
static bool body_too_large(const struct client *c, const struct request *request, size_t size) {
        uint64_t room = request->body_max - MIN(request->body_size, request->body_max), due = http_parser_due(&c->parser);

        return request->body_size > request->body_max || size > room || due > room - size;
}

void client_answered_early(struct client *c, struct request *request) {
        struct stream *s = request->stream;
        bool waits;

        if (c->reading != request || !s)
                return;
        waits = s->continues;
        stream_drop_body(s);
        client_discard(c, request, http_parser_due(&c->parser), waits);
}

/* The module reads it as it comes. */
static void on_streamed_body(struct client *c, struct request *request, const uint8_t *data, size_t size) {
        if (body_too_large(c, request, size)) {
                upstream_forget(request);
                client_stop_reading(c);
                request->keep_alive = false;
                request_too_large(request);
                return;
        }
        request->body_size += size;
        if (stream_add_body(request->stream, data, size) < 0)
                client_fail(c);
}

static void on_body(struct client *c, const uint8_t *data, size_t size) {
        struct request *request = c->reading;
        int r;

        c->gateway->counters.bytes_in += size;
        request->bytes_in += size;
        if (request->discards) {
                request->body_size += size;
                if (body_too_large(c, request, 0))
                        client_stop_reading(c);
                return;
        }
        if (request->stream) {
                on_streamed_body(c, request, data, size);
                return;
        }
        r = body_too_large(c, request, size) ? -EMSGSIZE : request_add_body(request, data, size, c->expected);
        if (r >= 0)
                return;
        request->keep_alive = false;
        client_stop_reading(c);
        if (r == -EMSGSIZE)
                request_too_large(request);
        else
                request_error(request, ERROR_NO_MEMORY);
}

static void on_request_end(struct client *c) {
        struct request *request = TAKE_PTR(c->reading);

        if (!request->keep_alive)
                c->closing = true;
        if (request->discards)
                return;
        if (request->stream) {
                request->stream->body_whole = true;
                return;
        }
        if (request->kept && request_encode_kept(request) < 0) {
                request_error(request, ERROR_NO_MEMORY);
                return;
        }
        upstream_submit(request, request->settings.timeout_ms);
}

void client_held_free(struct client *c) {
        c->gateway->n_held -= c->held ? c->held_size : 0;
        c->held = (free(c->held), NULL);
}

/* The input that there is no room for now is kept for later. */
static void hold(struct client *c, const struct http_input *in) {
        size_t size = (size_t)(in->end - in->at);
        uint8_t *copy;

        if (c->held || !size) /* held already: it is what is taken from */
                return;
        copy = malloc(size);
        if (!copy) {
                client_fail(c);
                return;
        }
        memcpy(copy, in->at, size);
        c->held = copy;
        c->held_at = 0;
        c->held_size = (uint32_t)size;
        c->gateway->n_held += size;
        net_receive(&c->socket, false); /* at once: in one turn there may be several pieces, and none may overtake this one */
}

/* An end needs no room, and with the last piece of a body nothing may be left that would be held, and taken, later. */
static bool can_go_on(const struct client *c) {
        return client_can_take(c) || (c->reading && !c->failed && http_parser_at_end(&c->parser));
}

/* Takes requests out of the input as long as there is room for them. */
void client_take(struct client *c, struct http_input *in) {
        struct gateway *g = c->gateway;
        const uint8_t *piece;
        size_t size;

        while (can_go_on(c)) {
                switch (http_parser_next(&c->parser, in, &g->head, &piece, &size)) {
                case HTTP_EVENT_MORE:
                        return;
                case HTTP_EVENT_HEAD:
                        client_on_head(c, &g->head, in->at < in->end);
                        break;
                case HTTP_EVENT_BODY:
                        on_body(c, piece, size);
                        break;
                case HTTP_EVENT_END:
                        on_request_end(c);
                        break;
                case HTTP_EVENT_REFUSED:
                        client_refuse(c, c->parser.refusal, false);
                        break;
                case HTTP_EVENT_FAILED:
                        client_fail(c);
                        break;
                }
        }
        /* Behind the last request nothing is expected: who sends more gets no reset before its answer. */
        if (c->closing)
                c->abandoned |= in->at < in->end;
        else
                hold(c, in);
}

void client_take_held(struct client *c) {
        struct http_input in = { c->held + c->held_at, c->held + c->held_size };

        assert(c->held);
        client_take(c, &in);
        c->held_at = (uint32_t)(in.at - c->held);
        if (in.at == in.end || c->closing)
                client_held_free(c);
}
