/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes on an instance's edge. What a worker says is believed as far as it
 * concerns itself: a reply counts only when it names a request that this instance
 * has. A reply that is not what it must be costs one request.
 */
#include "supervisor/gateway/instance-internal.h"

#include <errno.h>
#include <string.h>

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/admin-call.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/file-channel.h"
#include "supervisor/gateway/stream.h"

#define WARN_NS NS_PER_S

static bool reply_status_ok(int status) {
        return status >= 200; /* an interim answer is the gateway's business */
}

/* A module cannot fill the log with its mistakes. */
static void warn_malformed(struct instance *i) {
        uint64_t now = i->upstream->gateway->now_ns;

        if (i->warned_ns && now - i->warned_ns < WARN_NS)
                return;
        i->warned_ns = now;
        log_warning("%s: instance %llu sent a malformed reply", upstream_name(i->upstream), (unsigned long long)i->id);
}

static void on_file(struct instance *i, struct request *request, const struct http_reply_payload *reply) {
        struct response_file file = { -1, reply->file_offset, reply->file_size };
        const struct response response = { .status = reply->status, .fields = reply->fields, .n_fields = reply->n_fields, .file = &file };
        int error = file.size && !request->head ? file_channel_take(i, request, &file) : 0;

        if (error)
                request_error(request, error);
        else
                request_answer(request, &response);
}

static void on_reply(struct instance *i, struct request *request, struct edge_message *message) {
        struct gateway *g = i->upstream->gateway;
        struct http_reply_payload reply;
        struct response response;

        if (http_reply_decode(message->payload, message->size, g->reply_fields, &reply) < 0 || !reply_status_ok(reply.status)) {
                warn_malformed(i);
                request_error(request, ERROR_BAD_REPLY);
                return;
        }
        if (reply.is_file) {
                on_file(i, request, &reply);
                return;
        }
        response = (struct response){
                .status = reply.status, .fields = reply.fields, .n_fields = reply.n_fields, .body = reply.body, .body_size = reply.body_size
        };
        /* A large one was put together in memory of its own: taken over as it is, the views into it stay good. */
        if (reply.body_size > RESPONSE_COPY_MAX) {
                size_t at = (size_t)((const uint8_t *)reply.body - message->payload);

                response.taken = edge_message_take(i->edge, message);
                if (!response.taken) {
                        request_error(request, ERROR_NO_MEMORY);
                        return;
                }
                response.body = response.taken + at;
        }
        request_answer(request, &response);
}

/* Its parts may be on their way, until it hears that nobody wants them. */
static void begin_failed(struct instance *i, struct request *request, int error) {
        if (!request->stream)
                i->late_max += stream_late_max();
        instance_cancel(i, request);
        request_error(request, error);
}

/* What the module has said of the length. 0 or -EBADMSG. */
static int length_of(const struct http_reply_payload *reply, uint64_t *ret_length) {
        *ret_length = RESPONSE_NO_LENGTH;
        for (uint32_t k = 0; k < reply->n_fields; k++) {
                const struct http_field *f = &reply->fields[k];
                uint64_t length = 0;

                if (f->name.size != 14 || memcmp(f->name.text, "content-length", 14) != 0)
                        continue;
                if (!f->value.size || f->value.size > 18 || *ret_length != RESPONSE_NO_LENGTH)
                        return -EBADMSG;
                for (uint32_t n = 0; n < f->value.size; n++) {
                        if (f->value.text[n] < '0' || f->value.text[n] > '9')
                                return -EBADMSG;
                        length = length * 10 + (uint64_t)(f->value.text[n] - '0');
                }
                *ret_length = length;
        }
        return 0;
}

/* A head behind which the body comes in pieces. The request stays with the worker. */
static void on_head(struct instance *i, struct request *request, const struct edge_message *message) {
        struct http_reply_payload reply;
        struct response response;

        if (http_reply_decode(message->payload, message->size, i->upstream->gateway->reply_fields, &reply) < 0 ||
            !reply_status_ok(reply.status) || reply.is_file || reply.body_size || length_of(&reply, &response.length) < 0) {
                warn_malformed(i);
                begin_failed(i, request, ERROR_BAD_REPLY);
                return;
        }
        if (!request->stream && !stream_new(request)) {
                begin_failed(i, request, ERROR_NO_MEMORY);
                return;
        }
        request->stream->moved_ns = i->upstream->gateway->now_ns;
        response =
                (struct response){ .status = reply.status, .fields = reply.fields, .n_fields = reply.n_fields, .length = response.length };
        request_begin(request, &response);
}

/* Of what was given up the rest may come, but no more than was allowed, byte by byte though it be; an end counts as a byte. */
static int on_late_part(struct instance *i, const struct edge_message *message) {
        uint64_t n = MAX(message->size, 1u);

        if (n > i->late_max)
                return edge_poison(i->edge, VIOLATION_STREAM);
        i->late_max -= n;
        return 0;
}

static bool is_part(const struct frame *frame) {
        return frame->flags & FRAME_STREAM && (frame->kind == FRAME_DATA || frame->kind == FRAME_END || frame->kind == FRAME_CREDIT);
}

/* Who has not been sent all of the request need not wait for it any more; who has may have asked for it before he saw its end. */
static void on_answer_end(struct instance *i, struct request *request) {
        const struct stream *s = request->stream;

        if (s->takes_body && !s->body_end_sent) {
                instance_cancel(i, request);
        } else {
                i->late_max += s->takes_body ? stream_late_max() : 0;
                instance_remove(i, request);
        }
        request_finish(request);
}

static int on_part(struct instance *i, const struct edge_message *message) {
        struct request *request = call_table_find(&i->upstream->gateway->calls, message->frame.correlation);

        if (!request || request->instance != i)
                return on_late_part(i, message);
        switch (request->stream ? stream_on_part(request->stream, message) : STREAM_E_UNOPENED) {
        case 0:
                break;
        case STREAM_E_ENDED:
                on_answer_end(i, request);
                break;
        case STREAM_E_LENGTH:
                warn_malformed(i);
                begin_failed(i, request, ERROR_BAD_REPLY);
                break;
        case STREAM_E_UNOPENED:
                return edge_poison(i->edge, VIOLATION_STREAM);
        case STREAM_E_SIZE:
                return edge_poison(i->edge, VIOLATION_STREAM_SIZE);
        default:
                client_fail(request->client);
                break;
        }
        return 0;
}

static void fail(struct request *request, int error, const struct edge_message *message) {
        if (request->call)
                admin_call_fail(request->call, error, message);
        else
                request_error(request, error);
}

static void on_error(struct instance *i, struct request *request, const struct edge_message *message) {
        int error = message->frame.error;

        if (request_has_moved(request) && error_info(error)->retryable) {
                warn_malformed(i); /* it says that it has not begun what it has */
                error = ERROR_BAD_REPLY;
        }
        switch (error) {
        case ERROR_NOT_STARTED:
        case ERROR_MOVED:
                instance_refuses_in(i, request->sent_version);
                upstream_take_back(request);
                break;
        case ERROR_OVERLOADED:
                /* Others fill it, or who was cancelled: with something of ours in flight there will be room, without there is no telling. */
                i->full_ns = i->load.in_flight ? i->upstream->gateway->now_ns : 0;
                if (i->full_ns)
                        upstream_take_back(request);
                else
                        fail(request, error, message);
                break;
        default:
                if (error == ERROR_CUT_OFF && request_may_repeat(request, error))
                        upstream_take_back(request);
                else
                        fail(request, error, message);
                break;
        }
}

/* An answer that nobody asked for is a lie as soon as there are more of them than requests that were given up: who has his
 * edge full of inventions keeps nobody busy with them. One of those may have begun as a stream, which has parts and, when it
 * fails, an error behind its head. */
static int on_invention(struct instance *i, const struct edge_message *message) {
        if (!i->n_abandoned && message->frame.kind == FRAME_ERROR && i->late_max)
                return on_late_part(i, message);
        if (!i->n_abandoned)
                return edge_poison(i->edge, VIOLATION_INVENTED);
        i->n_abandoned--;
        if (message->frame.kind == FRAME_REPLY && message->frame.flags & FRAME_STREAM)
                i->late_max += stream_late_max();
        return 0;
}

int instance_on_message(struct instance *i, struct edge_message *message) {
        struct request *request;

        if (message->frame.kind == FRAME_GOAWAY) {
                i->refused_version = i->upstream->gateway->bus.version;
                return 0;
        }
        if (is_part(&message->frame))
                return on_part(i, message);
        if (message->frame.kind != FRAME_REPLY && message->frame.kind != FRAME_ERROR)
                return edge_poison(i->edge, VIOLATION_KIND);
        request = call_table_find(&i->upstream->gateway->calls, message->frame.correlation);
        /* Late, invented, or somebody else's. */
        if (!request || request->instance != i)
                return on_invention(i, message);
        /* An answer before all of the request was sent: the rest is not sent any more. */
        if (request->position == UINT64_MAX)
                edge_cancel(&request->out);
        i->full_ns = 0;
        if (message->frame.kind == FRAME_REPLY && request->stream && request->stream->begun)
                return edge_poison(i->edge, VIOLATION_INVENTED);
        if (message->frame.kind == FRAME_REPLY && message->frame.flags & FRAME_STREAM) {
                if (request->call)
                        return edge_poison(i->edge, VIOLATION_KIND);
                on_head(i, request, message);
                return 0;
        }
        instance_remove(i, request);
        if (message->frame.kind == FRAME_ERROR)
                on_error(i, request, message);
        else if (request->call)
                admin_call_succeed(request->call, message->payload, message->size);
        else
                on_reply(i, request, message);
        return 0;
}
