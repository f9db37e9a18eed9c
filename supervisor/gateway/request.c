/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: memory, encoding, answers.
 */
#include "supervisor/gateway/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "supervisor/gateway/admin-call.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/stream.h"
#include "supervisor/gateway/upstream.h"

#define FREE_MAX 1024u
#define BODY_ROOM_MIN 4096u

/* A head in one piece of memory: the texts lie behind the fields. */
struct kept_head {
        struct http_request_payload q;
        struct http_field fields[];
};

struct request *request_new(struct gateway *g, struct client *client) {
        struct request *request = g->free_requests;

        if (request) {
                g->free_requests = request->next_free;
                g->n_free_requests--;
        } else {
                request = calloc(1, sizeof(*request));
                if (!request)
                        return NULL;
                if (deadline_init(&g->deadlines, &request->deadline, upstream_on_due) < 0) {
                        free(request);
                        return NULL;
                }
        }
        request->gateway = g;
        request->client = client;
        request->begun_ns = g->now_ns;
        request->file_fd = -1;
        output_init(&request->answer, &g->pool);
        return request;
}

/* What clients make us keep is counted with who made us. */
static bool charge(struct request *request, uint64_t n) {
        struct gateway *g = request->gateway;

        if (n > g->memory_max - MIN(g->n_charged, g->memory_max))
                return false;
        g->n_charged += n;
        request->n_charged += n;
        return true;
}

static void discharge(struct request *request) {
        request->gateway->n_charged -= request->n_charged;
        request->n_charged = 0;
}

static void end_call(struct request *request) {
        struct gateway *g = request->gateway;

        if (!request->id)
                return;
        call_table_remove(&g->calls, request->id);
        request->id = 0;
        g->counters.in_flight--;
}

/* Everything but what is kept for the next use. */
static void request_clear(struct request *request) {
        struct deadline deadline = request->deadline;

        stream_free(request->stream);
        free(request->payload);
        free(request->kept);
        free(request->body);
        free(request->access);
        fd_close(request->file_fd);
        output_deinit(&request->answer);
        memset(request, 0, sizeof(*request));
        request->deadline = deadline;
}

void request_forget_file(struct request *request) {
        request->file_fd = fd_close(request->file_fd);
        request->file_lost = false;
}

void request_free(struct request *request) {
        struct gateway *g = request->gateway;

        end_call(request);
        discharge(request);
        if (request->upstream)
                upstream_unuse(request->upstream);
        deadline_clear(&g->deadlines, &request->deadline);
        request_clear(request);
        if (g->n_free_requests == FREE_MAX) {
                deadline_deinit(&g->deadlines, &request->deadline);
                free(request);
                return;
        }
        request->next_free = g->free_requests;
        g->free_requests = request;
        g->n_free_requests++;
}

bool request_has_moved(const struct request *request) {
        return request->stream && stream_has_moved(request->stream);
}

bool request_may_repeat(struct request *request, int error) {
        if ((error != ERROR_PEER_DIED && error != ERROR_CUT_OFF) || !request->idempotent || request->repeated || request_has_moved(request))
                return false;
        request->repeated = error;
        return true;
}

/* Body and head ---------------------------------------------------------------------------------------------------------- */

static struct http_text text_copy(char **at, struct http_text t) {
        char *begin = *at;

        if (t.size)
                memcpy(begin, t.text, t.size);
        *at += t.size;
        return (struct http_text){ begin, t.size };
}

int request_keep(struct request *request, const struct http_request_payload *q) {
        size_t size = q->method.size + q->path.size + q->query.size + q->remote.size, fields = q->n_fields * sizeof(struct http_field);
        struct kept_head *kept;
        char *at;

        for (uint32_t i = 0; i < q->n_fields; i++)
                size += q->fields[i].name.size + q->fields[i].value.size;
        if (!charge(request, sizeof(*kept) + fields + size))
                return -ENOMEM;
        kept = malloc(sizeof(*kept) + fields + size);
        if (!kept)
                return -ENOMEM;
        at = (char *)kept->fields + fields;
        kept->q = *q;
        kept->q.method = text_copy(&at, q->method);
        kept->q.path = text_copy(&at, q->path);
        kept->q.query = text_copy(&at, q->query);
        kept->q.remote = text_copy(&at, q->remote);
        kept->q.fields = kept->fields;
        for (uint32_t i = 0; i < q->n_fields; i++)
                kept->fields[i] = (struct http_field){ text_copy(&at, q->fields[i].name), text_copy(&at, q->fields[i].value) };
        request->kept = kept;
        return 0;
}

/* Room grows with what has come, never by what a header promises. */
static int body_grow(struct request *request, size_t need, uint64_t expected) {
        size_t room = MAX(MAX(request->body_room * 2, need), (size_t)BODY_ROOM_MIN);
        uint8_t *grown;

        if (expected && room > expected)
                room = MAX(need, (size_t)expected);
        if (!charge(request, room - request->body_room))
                return -ENOMEM;
        grown = realloc(request->body, room);
        if (!grown)
                return -ENOMEM;
        request->body = grown;
        request->body_room = room;
        return 0;
}

int request_add_body(struct request *request, const uint8_t *data, size_t size, uint64_t expected) {
        size_t need = request->body_size + size;

        if (size > request->body_max - request->body_size)
                return -EMSGSIZE;
        if (need > request->body_room) {
                int r = body_grow(request, need, expected);

                if (r < 0)
                        return r;
        }
        memcpy(request->body + request->body_size, data, size);
        request->body_size = need;
        return 0;
}

int request_encode(struct request *request, const struct http_request_payload *q) {
        return http_request_encode(q, &request->payload, &request->payload_size);
}

int request_encode_kept(struct request *request) {
        struct kept_head *kept = request->kept;
        int r;

        kept->q.body = request->body;
        kept->q.body_size = request->body_size;
        r = request_encode(request, &kept->q);
        request->kept = (free(request->kept), NULL);
        request->body = (free(request->body), NULL);
        return r;
}

/* Answers ----------------------------------------------------------------------------------------------------------------- */

static struct response_context context_of(const struct request *request) {
        return (struct response_context){
                .head = request->head, .keep_alive = request->keep_alive, .minor = request->minor, .date = request->gateway->date
        };
}

/* Nothing more comes of it. */
static void end(struct request *request) {
        deadline_clear(&request->gateway->deadlines, &request->deadline);
        end_call(request);
        discharge(request);
        request_forget_file(request);
        request->payload = (free(request->payload), NULL);
        request->kept = (free(request->kept), NULL);
        request->body = (free(request->body), NULL);
        request->body_room = 0;
        request->state = REQUEST_ANSWERED;
        client_touch(request->client);
}

static void cut(struct request *request) {
        request->gateway->counters.errors++;
        request->cut = true;
        request->keep_alive = false;
        client_answered_early(request->client, request);
        end(request);
}

void request_answer(struct request *request, const struct response *response) {
        struct response_context context;

        if (request->stream && request->stream->begun) {
                free(response->taken);
                if (response->file)
                        fd_close(response->file->fd);
                cut(request);
                return;
        }
        client_answered_early(request->client, request);
        context = context_of(request);
        request->status = response->status;
        if (response->status >= 500)
                request->gateway->counters.errors++;
        if (response_write(&request->answer, response, &context) < 0)
                client_fail(request->client);
        end(request);
}

/* HTTP/1.0 has nothing but the connection's end to tell that of an answer without a length. */
static bool ends_with_connection(const struct response *response, const struct response_context *context) {
        return response->length == RESPONSE_NO_LENGTH && !response_is_chunked(response, context) &&
               response_has_body(response->status, context->head);
}

void request_begin(struct request *request, struct response *response) {
        struct response_context context = context_of(request);
        struct stream *s = request->stream;

        response->streamed = true;
        if (ends_with_connection(response, &context))
                context.keep_alive = request->keep_alive = false;
        if (!request->keep_alive)
                client_expect_none(request->client, request);
        s->begun = true;
        s->chunked = response_is_chunked(response, &context);
        s->dropped = !response_has_body(response->status, request->head);
        s->left = response->length;
        request->status = response->status;
        if (response->status >= 500)
                request->gateway->counters.errors++;
        if (response_write_head(&request->answer, response, &context) < 0)
                client_fail(request->client);
        request->payload = (free(request->payload), NULL); /* it cannot be sent once more */
        discharge(request);
        client_touch(request->client);
}

void request_finish(struct request *request) {
        if (!request->stream->dropped && response_write_end(&request->answer, request->stream->chunked) < 0)
                client_fail(request->client);
        client_answered_early(request->client, request);
        end(request);
}

void request_problem(struct request *request, const struct problem *problem) {
        struct http_field fields[2] = { { { "content-type", 12 }, { PROBLEM_TYPE, sizeof(PROBLEM_TYPE) - 1 } },
                                        { { "retry-after", 11 }, { "1", 1 } } };
        struct response response = { .status = problem->status, .fields = fields, .n_fields = problem->status == 503 ? 2 : 1 };
        char text[PROBLEM_SIZE_MAX];

        response.body = text;
        response.body_size = problem_format(problem, text);
        request_answer(request, &response);
}

void request_error(struct request *request, int error) {
        struct problem problem;

        if (request->call) {
                admin_call_fail(request->call, error, NULL);
                return;
        }
        problem = problem_of_error(error, request->upstream ? upstream_name(request->upstream) : NULL);
        request_problem(request, &problem);
}

void request_too_large(struct request *request) {
        struct problem problem = problem_of_error(ERROR_TOO_LARGE, upstream_name(request->upstream));
        char detail[192];

        snprintf(detail, sizeof(detail), "module %s takes a body of at most %llu bytes (%s)", problem.module,
                 (unsigned long long)request->settings.body_max, request->settings.own ? "the limit of its route" : "[limits] body");
        problem.detail = detail;
        request_problem(request, &problem);
}
