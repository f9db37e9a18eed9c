/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance and its edge. What a worker says is believed as far as it concerns
 * itself: a reply counts only when it names a request that this instance has. A
 * reply that is not what it must be costs one request; an edge that breaks the
 * protocol is closed and reported, and is not asked for again before something
 * about the instance changes.
 */
#include "supervisor/gateway/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/admin-call.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/file-channel.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"
#include "supervisor/gateway/upstream.h"

#define MESSAGES_PER_TURN 256
#define RETRY_NS (10 * NS_PER_MS)
#define ANSWER_AGAIN_NS (100 * NS_PER_MS)
#define TELL_NS NS_PER_S
#define GREEDY_NS NS_PER_S
#define FILES_LATE_MAX 1024u /* passed for answers that nobody waits for any more */

#define INSTANCE_OF(watch_) ((struct instance *)((char *)(watch_)-offsetof(struct instance, bell)))

/* Life --------------------------------------------------------------------------------------------------------------------- */

struct instance *instance_new(struct upstream *u, uint64_t id) {
        struct instance *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        i->upstream = u;
        i->id = id;
        i->files_fd = -1;
        TAILQ_INIT(&i->sent);
        TAILQ_INSERT_TAIL(&u->instances, i, entry);
        return i;
}

static void leave_turn(struct instance *i) {
        struct gateway *g = i->upstream->gateway;

        if (i->rung)
                TAILQ_REMOVE(&g->rung, i, in_rung);
        if (i->unflushed)
                TAILQ_REMOVE(&g->unflushed, i, in_unflushed);
        i->rung = i->unflushed = false;
}

void instance_free(struct instance *i) {
        struct gateway *g = i->upstream->gateway;

        instance_close(i);
        TAILQ_REMOVE(&i->upstream->instances, i, entry);
        i->next_dead = g->dead_instances;
        g->dead_instances = i;
}

void instances_free_dead(struct gateway *g) {
        struct instance *i;

        while ((i = g->dead_instances)) {
                g->dead_instances = i->next_dead;
                free(i);
        }
}

/* What a module makes us keep is counted with who made us. */
static void charge(struct instance *i) {
        uint64_t n = i->edge ? edge_partial_room(i->edge) : 0;

        i->upstream->gateway->n_partial += n - i->n_partial;
        i->n_partial = n;
}

void instance_close(struct instance *i) {
        leave_turn(i);
        if (i->state == INSTANCE_OPEN)
                net_watch_remove(i->upstream->gateway->net, &i->bell);
        i->edge = edge_free(i->edge);
        file_channel_close(i);
        i->n_files_due = 0;
        charge(i);
        i->state = INSTANCE_COLD;
        i->full = false;
        i->n_abandoned = i->late_max = 0;
}

bool instance_was_unused(struct instance *i) {
        bool idle = i->state == INSTANCE_OPEN && TAILQ_EMPTY(&i->sent), unused = idle && i->swept == i->load.served;

        i->swept = idle ? i->load.served : UINT64_MAX;
        return unused;
}

/* Getting an edge ---------------------------------------------------------------------------------------------------------- */

bool instance_usable(const struct instance *i) {
        const struct upstream *u = i->upstream;

        if (i->state != INSTANCE_OPEN || !i->active || i->full || i->refused_version == u->gateway->bus.version)
                return false;
        return !u->module.in_flight_max || i->load.in_flight < u->module.in_flight_max;
}

bool instance_askable(const struct instance *i) {
        const struct gateway *g = i->upstream->gateway;

        return i->state == INSTANCE_COLD && i->active && i->refused_version != g->bus.version && i->retry_ns <= g->now_ns;
}

void instance_ask(struct instance *i) {
        struct gateway *g = i->upstream->gateway;
        struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        int fds[2], r;

        i->retry_ns = g->now_ns + RETRY_NS;
        if (g->bus.ring_size)
                limits.ring_size = g->bus.ring_size;
        if (g->bus.max_message)
                limits.max_message = g->bus.max_message;
        r = edge_new(&i->edge, &limits);
        if (r < 0) {
                log_error("%s: no edge to instance %llu: %s", upstream_name(i->upstream), (unsigned long long)i->id, strerror(-r));
                return;
        }
        edge_local_fds(i->edge, fds);
        r = bus_ask_edge(&g->bus, i->id, fds, &i->asked);
        if (r) {
                i->edge = edge_free(i->edge);
                return;
        }
        edge_local_sent(i->edge);
        i->asked_ns = g->now_ns;
        i->asked_version = g->bus.version;
        i->state = INSTANCE_ASKED;
}

void instance_forget_ask(struct instance *i) {
        i->edge = edge_free(i->edge);
        i->state = INSTANCE_COLD;
        i->retry_ns = 0;
}

/* A refusal is of the directory in which it was asked: who has gone and come again since is asked again. */
static void refused_in(struct instance *i, uint64_t version) {
        i->refused_version = MAX(i->refused_version, version);
}

void instance_refused(struct instance *i, int error) {
        const struct gateway *g = i->upstream->gateway;

        instance_forget_ask(i);
        if (error == ERROR_TIMEOUT)
                i->retry_ns = g->now_ns + ANSWER_AGAIN_NS; /* it does not answer just now */
        else if (error == ERROR_BUSY || error == ERROR_NO_MEMORY)
                i->retry_ns = g->now_ns + RETRY_NS;
        else
                refused_in(i, i->asked_version);
}

static void ring(struct instance *i) {
        if (i->rung)
                return;
        TAILQ_INSERT_TAIL(&i->upstream->gateway->rung, i, in_rung);
        i->rung = true;
}

static void on_bell(struct net_watch *watch, bool hung_up) {
        struct instance *i = INSTANCE_OF(watch);

        edge_on_event(i->edge, hung_up);
        ring(i);
}

/* The manager tells the operator, who is told here only when he cannot. */
static void tell_violation(const struct instance *i, enum violation reason) {
        if (!violation_is_peers(reason) || bus_tell_violation(&i->upstream->gateway->bus, i->id, reason) != 0)
                log_error("%s: the edge to instance %llu is closed: %s", upstream_name(i->upstream), (unsigned long long)i->id,
                          violation_text(reason));
}

bool instance_open(struct instance *i, int memory_fd, int bell_fd) {
        struct gateway *g = i->upstream->gateway;
        int r;

        r = edge_attach(i->edge, memory_fd, bell_fd);
        if (!r) {
                i->bell.on_ready = on_bell;
                r = net_watch_add(g->net, &i->bell, edge_wait_fd(i->edge), true);
        }
        if (r > 0)
                tell_violation(i, edge_violation(i->edge));
        if (r < 0)
                log_error("%s: the edge to instance %llu cannot be opened: %s", upstream_name(i->upstream), (unsigned long long)i->id,
                          strerror(-r));
        if (r) {
                instance_refused(i, r > 0 ? ERROR_UNAVAILABLE : ERROR_NO_MEMORY);
                return false;
        }
        i->state = INSTANCE_OPEN;
        i->swept = UINT64_MAX;
        ring(i); /* to be armed */
        return true;
}

/* Losing it ---------------------------------------------------------------------------------------------------------------- */

static void sent_remove(struct instance *i, struct request *request) {
        TAILQ_REMOVE(&i->sent, request, in_upstream);
        i->load.in_flight--;
        if (!i->load.in_flight)
                i->full = false; /* what was cancelled will send no reply that says so */
        if (request->stream)
                stream_leave(request->stream);
        i->n_files -= request->file_fd >= 0;
        request->instance = NULL;
}

static int on_message(struct instance *i, struct edge_message *message);

/* A reply may have been published just before the end. */
static int receive_last(struct instance *i) {
        struct edge_message message;
        int r;

        while (!(r = edge_receive(i->edge, &message)) && !(r = on_message(i, &message)))
                ;
        return r;
}

/* Bytes have gone to and fro behind it: the worker has begun it, whatever it says, and it cannot be repeated. */
static bool has_moved(const struct request *request) {
        return request->stream && stream_has_moved(request->stream);
}

/* Of what a worker had begun when it died, or when its time was over, what may be done twice is, once: a request that kills whoever
 * handles it ends two workers at most, however many there are. */
static bool may_repeat(struct request *request, int error) {
        if ((error != ERROR_PEER_DIED && error != ERROR_CUT_OFF) || !request->idempotent || request->repeated || has_moved(request))
                return false;
        request->repeated = error;
        return true;
}

/* What the worker had begun is answered for it, the rest goes back to the queue in its order. */
static void give_up_sent(struct instance *i, uint64_t accepted, int error) {
        struct request *request;

        while ((request = TAILQ_LAST(&i->sent, request_list))) {
                bool begun = request->position <= accepted || has_moved(request);

                sent_remove(i, request);
                if (begun && !may_repeat(request, error))
                        request_error(request, error);
                else
                        upstream_take_back(request);
        }
}

/* How far it may have begun what it was sent. Who has lost his edge through us lives, and reads on what lies in his ring. */
static uint64_t begun_until(const struct instance *i, bool ended, bool poisoned) {
        if (poisoned)
                return UINT64_MAX;
        return ended ? edge_peer_accepted(i->edge) : UINT64_MAX - 1;
}

static void instance_lost(struct instance *i, int result) {
        bool ended = result == EDGE_E_CLOSED, poisoned;
        uint64_t accepted;

        if (ended)
                result = receive_last(i);
        poisoned = result == EDGE_E_POISONED;
        if (poisoned)
                tell_violation(i, edge_violation(i->edge));
        else if (result < 0)
                log_error("%s: the edge to instance %llu is closed: %s", upstream_name(i->upstream), (unsigned long long)i->id,
                          strerror(-result));
        if (poisoned)
                i->refused_version = i->upstream->gateway->bus.version;
        accepted = begun_until(i, ended, poisoned);
        instance_close(i);
        give_up_sent(i, accepted, poisoned ? ERROR_BAD_REPLY : ERROR_PEER_DIED);
}

/* Sending ------------------------------------------------------------------------------------------------------------------ */

static void on_sent(struct edge_outgoing *out, int result) {
        struct request *request = out->userdata;

        if (!result)
                request->position = edge_sent_position(request->instance->edge);
}

static void want_flush(struct instance *i) {
        if (i->unflushed)
                return;
        TAILQ_INSERT_TAIL(&i->upstream->gateway->unflushed, i, in_unflushed);
        i->unflushed = true;
}

static void sent_add(struct instance *i, struct request *request) {
        request->instance = i;
        request->state = REQUEST_SENT;
        request->sent_version = i->upstream->gateway->bus.version;
        access_log_sent(request);
        TAILQ_INSERT_TAIL(&i->sent, request, in_upstream);
        i->load.in_flight++;
        i->load.served++;
        i->n_files_due = MIN(i->n_files_due + 1, i->load.in_flight + FILES_LATE_MAX);
        want_flush(i);
}

bool instance_send(struct instance *i, struct request *request) {
        struct frame frame = {
                .kind = FRAME_REQUEST,
                .flags = (uint8_t)((request->idempotent ? FRAME_IDEMPOTENT : 0) | (request->trace.sampled ? FRAME_SAMPLED : 0) |
                                   (request->stream ? FRAME_STREAM : 0)),
                .correlation = request->id,
                .deadline = request->stream ? 0 : request->deadline.when_ns, /* how long a body takes is the client's matter */
                .parent_span = request->trace.parent,
                .generation = (uint32_t)i->upstream->gateway->bus.table.generation,
        };
        int r;

        memcpy(frame.trace, request->trace.id, sizeof(frame.trace));

        if (request->call && !admin_call_method(request->call, i, &frame.method)) {
                admin_call_fail(request->call, ERROR_NO_METHOD, NULL);
                return true;
        }
        request->position = UINT64_MAX;
        request->out = (struct edge_outgoing){ .on_sent = on_sent, .userdata = request };
        r = edge_send(i->edge, &frame, request->payload, request->payload_size, &request->out);
        if (r == EDGE_E_TOO_LARGE) {
                request_error(request, ERROR_TOO_LARGE);
                return true;
        }
        if (r && r != EDGE_E_FULL) {
                instance_lost(i, r);
                return false;
        }
        if (!r)
                request->position = edge_sent_position(i->edge);
        sent_add(i, request);
        return true;
}

void instance_cancel(struct instance *i, struct request *request) {
        sent_remove(i, request);
        i->n_abandoned++;
        if (request->stream)
                i->late_max += stream_late_max();
        if (request->position == UINT64_MAX)
                edge_cancel(&request->out);
        else
                edge_send_cancel(i->edge, request->id);
        want_flush(i);
}

int instance_put(struct instance *i, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out) {
        int r = edge_send(i->edge, frame, payload, size, out);

        /* An end that shows here is dealt with by the next receive. */
        if (r && r != EDGE_E_FULL)
                ring(i);
        want_flush(i);
        return r;
}

void instance_timed_out(struct instance *i) {
        struct gateway *g = i->upstream->gateway;

        if (i->told_ns && g->now_ns - i->told_ns < TELL_NS)
                return;
        i->told_ns = g->now_ns;
        bus_timed_out(&g->bus, i->id);
}

void instances_flush(struct gateway *g) {
        struct instance *i;

        while ((i = TAILQ_FIRST(&g->unflushed))) {
                int r;

                TAILQ_REMOVE(&g->unflushed, i, in_unflushed);
                i->unflushed = false;
                r = edge_flush(i->edge);
                if (!r)
                        continue;
                instance_lost(i, r);
                upstream_pump(i->upstream); /* what it had not begun goes elsewhere at once */
        }
}

/* Receiving ---------------------------------------------------------------------------------------------------------------- */

static bool reply_status_ok(int status) {
        return status >= 200; /* an interim answer is the gateway's business */
}

/* A module cannot fill the log with its mistakes. */
static void warn_malformed(struct instance *i) {
        uint64_t now = i->upstream->gateway->now_ns;

        if (i->warned_ns && now - i->warned_ns < TELL_NS)
                return;
        i->warned_ns = now;
        log_warning("%s: instance %llu sent a malformed reply", upstream_name(i->upstream), (unsigned long long)i->id);
}

static void on_file(struct instance *i, struct request *request, const struct http_reply_payload *reply) {
        struct response_file file = { -1, reply->file_offset, reply->file_size };
        const struct response response = { .status = reply->status, .fields = reply->fields, .n_fields = reply->n_fields, .file = &file };
        int error = file.size && !request->head ? file_channel_take(i, request, &file) : 0;

        if (error == ERROR_CUT_OFF && may_repeat(request, error))
                upstream_take_back(request);
        else if (error)
                request_error(request, error == ERROR_CUT_OFF ? ERROR_BAD_REPLY : error);
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
                sent_remove(i, request);
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

        if (has_moved(request) && error_info(error)->retryable) {
                warn_malformed(i); /* it says that it has not begun what it has */
                error = ERROR_BAD_REPLY;
        }
        switch (error) {
        case ERROR_NOT_STARTED:
        case ERROR_MOVED:
                refused_in(i, request->sent_version);
                upstream_take_back(request);
                break;
        case ERROR_OVERLOADED:
                /* Others fill it: with something of ours in flight its next reply shows room, without there is no telling. */
                i->full = i->load.in_flight > 0;
                if (i->full)
                        upstream_take_back(request);
                else
                        fail(request, error, message);
                break;
        default:
                if (error == ERROR_CUT_OFF && may_repeat(request, error))
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

static int on_message(struct instance *i, struct edge_message *message) {
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
        i->full = false;
        if (message->frame.kind == FRAME_REPLY && request->stream && request->stream->begun)
                return edge_poison(i->edge, VIOLATION_INVENTED);
        if (message->frame.kind == FRAME_REPLY && message->frame.flags & FRAME_STREAM) {
                if (request->call)
                        return edge_poison(i->edge, VIOLATION_KIND);
                on_head(i, request, message);
                return 0;
        }
        sent_remove(i, request);
        if (message->frame.kind == FRAME_ERROR)
                on_error(i, request, message);
        else if (request->call)
                admin_call_succeed(request->call, message->payload, message->size);
        else
                on_reply(i, request, message);
        return 0;
}

/* True: there may be more. */
static bool receive(struct instance *i) {
        struct edge_message message;

        for (int n = 0; n < MESSAGES_PER_TURN; n++) {
                int r = edge_receive(i->edge, &message);

                if (r == EDGE_E_EMPTY)
                        return !edge_arm(i->edge);
                if (!r)
                        r = on_message(i, &message);
                if (r) {
                        instance_lost(i, r);
                        return false;
                }
        }
        return true;
}

void instances_turn(struct gateway *g) {
        struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH(i, &g->rung, in_rung)
        n++;
        /* Those that are not emptied stand behind the others, and wait for the next turn. */
        while (n-- && (i = TAILQ_FIRST(&g->rung))) {
                struct upstream *u = i->upstream;

                TAILQ_REMOVE(&g->rung, i, in_rung);
                i->rung = false;
                if (receive(i))
                        ring(i);
                charge(i);
                if (!i->active || i->state != INSTANCE_OPEN)
                        upstream_settle(u);
                if (u->n_waiting)
                        upstream_pump(u);
        }
}

static struct instance *greediest(const struct gateway *g) {
        struct instance *i, *most = NULL;

        for (const struct upstream *u = g->upstreams; u; u = u->next) {
                TAILQ_FOREACH(i, &u->instances, entry) {
                        if (i->n_partial && (!most || i->n_partial > most->n_partial))
                                most = i;
                }
        }
        return most;
}

/* One edge may keep as much as is sensible for one; a module of many instances could have all of them do so. */
void instances_relieve(struct gateway *g) {
        struct instance *i;

        while (g->n_partial > g->memory_max && (i = greediest(g))) {
                log_warning("%s: instance %llu has %llu bytes of replies unfinished, of all who have too many it has most",
                            upstream_name(i->upstream), (unsigned long long)i->id, (unsigned long long)i->n_partial);
                bus_tell_violation(&g->bus, i->id, VIOLATION_GREEDY);
                instance_lost(i, -ENOBUFS);
                i->retry_ns = g->now_ns + GREEDY_NS;
                upstream_settle(i->upstream);
        }
}
