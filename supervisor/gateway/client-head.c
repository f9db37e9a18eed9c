/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's head: which module takes it, and what becomes of it before a byte
 * of its body is read.
 */
#include "supervisor/gateway/client-internal.h"

#include <errno.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"
#include "supervisor/gateway/upstream.h"

#define DISCARD_MAX (1u << 20) /* of a body that nobody wants: more, and the connection is closed */

/* The input cannot be followed any further: the answer in its place, then the end. head: it was to HEAD, and has no body. */
void client_refuse(struct client *c, enum refusal refusal, bool head) {
        struct request *request = c->reading ? c->reading : client_add_request(c);
        struct problem problem = problem_of_refusal(refusal);

        client_stop_reading(c);
        if (!request || request->state == REQUEST_ANSWERED)
                return;
        upstream_forget(request); /* whose body went on while it came */
        request->head |= head;
        request->keep_alive = false;
        request_problem(request, &problem);
}

void client_discard(struct client *c, struct request *request, uint64_t due, bool waits) {
        request->discards = true;
        request->body_size = 0;
        request->body_max = DISCARD_MAX;
        /* Whoever waits for 100 Continue may leave the body out or not: there is no going on. */
        if (due > DISCARD_MAX || waits) {
                request->keep_alive = false;
                client_stop_reading(c);
        }
}

static bool method_is(const struct http_head *head, const char *method) {
        return head->method.size == strlen(method) && !memcmp(head->method.text, method, head->method.size);
}

static void on_options(struct request *request) {
        static const struct http_field allow = { { "allow", 5 }, { "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", 44 } };
        struct response response = { .status = 204, .fields = &allow, .n_fields = 1 };

        request_answer(request, &response);
}

/* RFC 9112 3.2.2: what an absolute target says is the host, also for the module. */
static void replace_host(struct http_head *head, struct http_text authority) {
        if (!authority.size)
                return;
        for (uint32_t i = 0; i < head->n_fields; i++) {
                struct http_field *f = &head->fields[i];

                if (f->name.size == 4 && !memcmp(f->name.text, "host", 4)) {
                        f->value = authority;
                        return;
                }
        }
        /* HTTP/1.0 needs none. */
        if (head->n_fields < HTTP_PAYLOAD_HEADERS_MAX)
                head->fields[head->n_fields++] = (struct http_field){ { "host", 4 }, authority };
}

/* The client's, when it has named one; fields of the head are in lower case. */
static struct trace trace_of(const struct http_head *head) {
        struct trace trace;

        for (uint32_t i = 0; i < head->n_fields; i++) {
                const struct http_field *f = &head->fields[i];

                if (f->name.size == 11 && !memcmp(f->name.text, "traceparent", 11) && trace_parse(f->value.text, f->value.size, &trace))
                        return trace;
        }
        return trace_new();
}

/* Nearly always the connection's own, which is at hand as text. */
static struct http_text remote_of(const struct client *c, const struct request *request) {
        struct gateway *g = c->gateway;

        if (address_equal(&request->origin.client, &c->origin.address))
                return (struct http_text){ c->origin.text, c->origin.text_size };
        return (struct http_text){ g->remote, (uint32_t)address_format(&request->origin.client, g->remote) };
}

static bool has_body(const struct http_head *head) {
        return head->chunked || head->length;
}

/* The module takes it, as far as its head says: encoded now, or kept until the body is whole. */
static int accept_head(struct client *c, struct request *request, const struct http_head *head, const char *path) {
        struct http_request_payload q = {
                .method = head->method,
                .path = { path, (uint32_t)strlen(path) },
                .query = c->gateway->target.query,
                .remote = remote_of(c, request),
                .secure = request->origin.secure,
                .fields = head->fields,
                .n_fields = head->n_fields,
        };

        request->trace = trace_of(head);
        if (!has_body(head))
                return request_encode(request, &q);
        if (!request->settings.stream)
                return request_keep(request, &q);
        if (!stream_new(request))
                return -ENOMEM;
        request->stream->takes_body = true;
        return request_encode(request, &q);
}

/* Finds the module. 0 or an error_code. */
static int route(struct client *c, struct request *request, const struct http_head *head) {
        const struct target *target = &c->gateway->target;
        const char *path = target->path;
        int r;

        r = upstream_route(c->gateway, target->host, &path, &request->upstream, &request->settings);
        if (r)
                return r;
        request->body_max = request->settings.body_max;
        if (head->length > request->body_max)
                return ERROR_TOO_LARGE;
        return accept_head(c, request, head, path) < 0 ? ERROR_NO_MEMORY : 0;
}

static const struct problem no_route = { 404, "NOT_FOUND", "no module serves this path", NULL };

/* RFC 9110, 9.2.2 */
static bool is_idempotent(const struct http_head *head) {
        static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE" };

        for (size_t i = 0; i < N_ELEMENTS(methods); i++) {
                if (method_is(head, methods[i]))
                        return true;
        }
        return false;
}

/* 100 Continue, at once; of a body that goes on as it comes, when somebody reads it. */
static void expect_body(struct client *c, struct request *request, const struct http_head *head, bool more) {
        bool waits = head->expects_continue && has_body(head) && !more;

        if (request->stream) {
                request->stream->continues = waits;
                upstream_submit(request, request->settings.timeout_ms);
        } else if (waits && output_append(&request->answer, "HTTP/1.1 100 Continue\r\n\r\n", 25) < 0) {
                client_fail(c);
        }
}

void client_on_head(struct client *c, struct http_head *head, bool more) {
        struct gateway *g = c->gateway;
        struct request *request;
        int r;

        c->progress |= 1 << CLIENT_HEAD;
        r = target_parse(head->method, head->target, head->host, g->path, &g->target);
        if (r) {
                client_refuse(c, (enum refusal)r, method_is(head, "HEAD"));
                return;
        }
        request = client_add_request(c);
        if (!request)
                return;
        c->reading = request;
        c->expected = head->length;
        request->access = access_log_keep(g, head);
        request->origin = client_origin_of(&c->origin, g, head);
        replace_host(head, g->target.authority);
        g->counters.requests++;
        request->head = method_is(head, "HEAD");
        request->idempotent = is_idempotent(head);
        request->keep_alive = head->keep_alive && !g->ending;
        request->minor = head->minor;
        r = g->target.asterisk ? 0 : route(c, request, head);
        if (r || g->target.asterisk)
                client_discard(c, request, head->length, head->expects_continue && has_body(head));
        if (r == ERROR_NOT_FOUND)
                request_problem(request, &no_route);
        else if (r == ERROR_TOO_LARGE)
                request_too_large(request);
        else if (r)
                request_error(request, r);
        else if (g->target.asterisk)
                on_options(request);
        else
                expect_body(c, request, head, more);
}
