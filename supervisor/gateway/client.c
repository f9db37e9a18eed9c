/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's connection.
 *
 * What is received goes through the parser; each whole request goes to its module
 * at once, up to PIPELINE_MAX of one connection, and as long as not more than
 * BUFFERED_MAX bytes of answers wait for it. Then reading stops (what was read
 * already is held, at most one receive), TCP tells the client, and memory is
 * bounded. Answers may come back in any order; they go out in that of the
 * requests. Over all connections it is bounded, too: beyond memory_max whoever
 * makes us keep most is closed.
 *
 * Everything is done once per turn of the loop: answers that came in one turn go
 * out in one call.
 *
 * A body has 30 s for each 16 KiB, and for its rest: who sends a byte now and then
 * does not hold a connection and what came before for as long as he likes.
 *
 * A client that sends its FIN while it waits for an answer has either gone away
 * or closed only its sending half, which cannot be told apart. When it had said
 * that this is its last request (Connection: close, HTTP/1.0) it gets its answer;
 * otherwise it is taken for gone, and what its requests cost is saved (nginx does
 * the latter always).
 *
 * When the base stops, a connection ends behind the request that it is at; one
 * without a request may bring one more within ENDING_NS, because it may be under
 * way already.
 *
 * An input that cannot be followed (refusals.def) is answered in its place in the
 * order and then the connection ends; before the close what still comes is read
 * and thrown away for a moment, for a reset would take the answer with it
 * (RFC 9112 9.6).
 */
#include "supervisor/gateway/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/upstream.h"

#define PIPELINE_MAX 16u
#define BUFFERED_MAX (256u << 10)
#define DISCARD_MAX (1u << 20) /* of a body that nobody wants: more, and the connection is closed */
#define IOV_MAX_PER_SEND 64
#define DROP_LOOK 64u /* connections that are looked at when one must go */

#define IDLE_NS (75 * NS_PER_S)
#define HEAD_NS (10 * NS_PER_S)
#define BODY_NS (30 * NS_PER_S) /* for BODY_PIECE, or for what is left */
#define BODY_PIECE (16u << 10)
#define WRITING_NS (60 * NS_PER_S)
#define LINGER_NS (2 * NS_PER_S)
#define ENDING_NS (500 * NS_PER_MS)

#define CLIENT_OF(socket_) ((struct client *)((char *)(socket_)-offsetof(struct client, socket)))
#define CLIENT_OF_DEADLINE(deadline_) ((struct client *)((char *)(deadline_)-offsetof(struct client, deadline)))

/* Life ------------------------------------------------------------------------------------------------------------------- */

static void remote_format(const struct sockaddr_storage *address, char ret_remote[CLIENT_REMOTE_SIZE]) {
        const void *ip = NULL;

        if (address->ss_family == AF_INET)
                ip = &((const struct sockaddr_in *)address)->sin_addr;
        else if (address->ss_family == AF_INET6)
                ip = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (!ip || !inet_ntop(address->ss_family, ip, ret_remote, CLIENT_REMOTE_SIZE))
                strcpy(ret_remote, "unix:");
}

static const struct net_handler handler;
static void on_due(struct deadline *deadline);

static void client_freep(struct client **client) {
        free(*client);
}

int client_new(struct gateway *g, int fd, const struct sockaddr_storage *address) {
        _cleanup_(client_freep) struct client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        r = deadline_init(&g->deadlines, &c->deadline, on_due);
        if (r < 0)
                return r;
        r = net_socket_add(g->net, &c->socket, fd, &handler);
        if (r < 0) {
                deadline_deinit(&g->deadlines, &c->deadline);
                return r;
        }
        c->gateway = g;
        TAILQ_INIT(&c->requests);
        http_parser_init(&c->parser);
        output_init(&c->out, &g->pool);
        remote_format(address, c->remote);
        c->phase = CLIENT_IDLE;
        c->phase_ns = g->now_ns;
        deadline_set(&g->deadlines, &c->deadline, g->now_ns + IDLE_NS);
        TAILQ_INSERT_TAIL(&g->clients, c, entry);
        g->n_clients++;
        TAKE_PTR(c);
        return 0;
}

void client_touch(struct client *c) {
        if (c->touched || c->dead)
                return;
        TAILQ_INSERT_TAIL(&c->gateway->touched, c, in_touched);
        c->touched = true;
}

void client_fail(struct client *c) {
        c->failed = true;
        client_touch(c);
}

static void request_remove(struct client *c, struct request *request) {
        TAILQ_REMOVE(&c->requests, request, in_client);
        c->n_requests--;
        if (c->reading == request)
                c->reading = NULL;
        request_free(request);
}

static void held_free(struct client *c) {
        c->gateway->n_held -= c->held ? c->held_size : 0;
        c->held = (free(c->held), NULL);
}

/* Memory stays until the end of the turn: events may still name it. */
static void client_close(struct client *c) {
        struct gateway *g = c->gateway;
        struct request *request;

        if (c->dead)
                return;
        c->dead = true;
        if (c->touched)
                TAILQ_REMOVE(&g->touched, c, in_touched);
        c->touched = false;
        while ((request = TAILQ_FIRST(&c->requests))) {
                upstream_forget(request);
                request_remove(c, request);
        }
        net_socket_remove(&c->socket);
        deadline_deinit(&g->deadlines, &c->deadline);
        http_parser_deinit(&c->parser);
        output_deinit(&c->out);
        held_free(c);
        TAILQ_REMOVE(&g->clients, c, entry);
        g->n_clients--;
        c->next_dead = g->dead_clients;
        g->dead_clients = c;
        listeners_room(&g->listeners);
}

void clients_free_dead(struct gateway *g) {
        struct client *c;

        while ((c = g->dead_clients)) {
                g->dead_clients = c->next_dead;
                free(c);
        }
}

void clients_deinit(struct gateway *g) {
        struct client *c;
        struct request *request;

        while ((c = TAILQ_FIRST(&g->clients)))
                client_close(c);
        clients_free_dead(g);
        while ((request = g->free_requests)) {
                g->free_requests = request->next_free;
                deadline_deinit(&g->deadlines, &request->deadline);
                free(request);
        }
}

/* Reading ----------------------------------------------------------------------------------------------------------------- */

static size_t buffered(const struct client *c) {
        const struct request *request;
        size_t size = c->out.size;

        TAILQ_FOREACH(request, &c->requests, in_client)
        size += request->answer.size;
        return size;
}

static bool can_take(const struct client *c) {
        return !c->closing && !c->failed && !c->dead && (c->reading || c->n_requests < PIPELINE_MAX) && buffered(c) < BUFFERED_MAX;
}

static struct request *add_request(struct client *c) {
        struct request *request = request_new(c->gateway, c);

        if (!request) {
                client_fail(c);
                return NULL;
        }
        TAILQ_INSERT_TAIL(&c->requests, request, in_client);
        c->n_requests++;
        return request;
}

static void stop_reading(struct client *c) {
        c->closing = c->abandoned = true;
        c->reading = NULL;
}

/* The input cannot be followed any further: the answer in its place, then the end. head: it was to HEAD, and has no body. */
static void refuse(struct client *c, enum refusal refusal, bool head) {
        struct request *request = c->reading ? c->reading : add_request(c);
        struct problem problem = problem_of_refusal(refusal);

        stop_reading(c);
        if (!request || request->state == REQUEST_ANSWERED)
                return;
        request->head |= head;
        request->keep_alive = false;
        request_problem(request, &problem);
}

/* Answered before its body was read: the rest is read for nobody, or not at all. */
static void discard(struct client *c, struct request *request, const struct http_head *head) {
        bool body = head->chunked || head->length;

        request->discards = true;
        request->body_max = DISCARD_MAX;
        if (!body)
                return;
        /* Whoever waits for 100 Continue may leave the body out or not: there is no going on. */
        if (head->length > DISCARD_MAX || head->expects_continue) {
                request->keep_alive = false;
                stop_reading(c);
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

/* The module takes it, as far as its head says: encoded now, or kept until the body is whole. */
static int accept_head(struct client *c, struct request *request, const struct http_head *head, const char *path) {
        struct http_request_payload q = {
                .method = head->method,
                .path = { path, (uint32_t)strlen(path) },
                .query = c->gateway->target.query,
                .remote = { c->remote, (uint32_t)strlen(c->remote) },
                .fields = head->fields,
                .n_fields = head->n_fields,
        };

        request->trace = trace_of(head);
        return head->chunked || head->length ? request_keep(request, &q) : request_encode(request, &q);
}

/* Finds the module. 0 or an error_code. */
static int route(struct client *c, struct request *request, const struct http_head *head) {
        const struct target *target = &c->gateway->target;
        const char *path = target->path;
        int r;

        r = upstream_route(c->gateway, target->host, &path, &request->upstream);
        if (r)
                return r;
        request->body_max = upstream_body_max(request->upstream);
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

static void on_head(struct client *c, struct http_head *head, bool more) {
        struct gateway *g = c->gateway;
        struct request *request;
        int r;

        c->progress |= 1 << CLIENT_HEAD;
        r = target_parse(head->method, head->target, head->host, g->path, &g->target);
        if (r) {
                refuse(c, (enum refusal)r, method_is(head, "HEAD"));
                return;
        }
        request = add_request(c);
        if (!request)
                return;
        c->reading = request;
        c->expected = head->length;
        replace_host(head, g->target.authority);
        g->counters.requests++;
        request->head = method_is(head, "HEAD");
        request->idempotent = is_idempotent(head);
        request->keep_alive = head->keep_alive && !g->ending;
        request->minor = head->minor;
        r = g->target.asterisk ? 0 : route(c, request, head);
        if (r || g->target.asterisk)
                discard(c, request, head);
        if (r == ERROR_NOT_FOUND)
                request_problem(request, &no_route);
        else if (r)
                request_error(request, r);
        else if (g->target.asterisk)
                on_options(request);
        else if (head->expects_continue && (head->chunked || head->length) && !more &&
                 output_append(&request->answer, "HTTP/1.1 100 Continue\r\n\r\n", 25) < 0)
                client_fail(c);
}

/* Also when it will be: a chunk that is announced is not waited for when it cannot be taken. */
static bool body_too_large(const struct client *c, const struct request *request, size_t size) {
        uint64_t room = request->body_max - MIN(request->body_size, request->body_max), due = http_parser_due(&c->parser);

        return request->body_size > request->body_max || size > room || due > room - size;
}

static void on_body(struct client *c, const uint8_t *data, size_t size) {
        struct request *request = c->reading;
        int r;

        c->gateway->counters.bytes_in += size;
        if (request->discards) {
                request->body_size += size;
                if (body_too_large(c, request, 0))
                        stop_reading(c);
                return;
        }
        r = body_too_large(c, request, size) ? -EMSGSIZE : request_add_body(request, data, size, c->expected);
        if (r >= 0)
                return;
        request->keep_alive = false;
        stop_reading(c);
        request_error(request, r == -EMSGSIZE ? ERROR_TOO_LARGE : ERROR_NO_MEMORY);
}

static void on_request_end(struct client *c) {
        struct request *request = TAKE_PTR(c->reading);

        if (!request->keep_alive)
                c->closing = true;
        if (request->discards)
                return;
        if (request->kept && request_encode_kept(request) < 0) {
                request_error(request, ERROR_NO_MEMORY);
                return;
        }
        upstream_submit(request, upstream_timeout_ms(request->upstream));
}

/* The input that there is no room for now is kept for later. */
static void hold(struct client *c, const struct http_input *in) {
        size_t size = (size_t)(in->end - in->at);
        uint8_t *copy;

        if (c->held || !size)
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
}

/* Takes requests out of the input as long as there is room for them. */
static void take(struct client *c, struct http_input *in) {
        struct gateway *g = c->gateway;
        const uint8_t *piece;
        size_t size;

        while (can_take(c)) {
                switch (http_parser_next(&c->parser, in, &g->head, &piece, &size)) {
                case HTTP_EVENT_MORE:
                        return;
                case HTTP_EVENT_HEAD:
                        on_head(c, &g->head, in->at < in->end);
                        break;
                case HTTP_EVENT_BODY:
                        on_body(c, piece, size);
                        break;
                case HTTP_EVENT_END:
                        on_request_end(c);
                        break;
                case HTTP_EVENT_REFUSED:
                        refuse(c, c->parser.refusal, false);
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

static void take_held(struct client *c) {
        struct http_input in = { c->held + c->held_at, c->held + c->held_size };

        take(c, &in);
        c->held_at = (uint32_t)(in.at - c->held);
        if (in.at == in.end || c->closing)
                held_free(c);
}

static void on_data(struct net_socket *socket, uint8_t *data, size_t size) {
        struct client *c = CLIENT_OF(socket);
        struct http_input in = { data, data + size };

        client_touch(c);
        if (c->closing) {
                c->abandoned = true;
                return;
        }
        c->progress |= 1 << CLIENT_IDLE;
        c->piece += size;
        if (c->piece >= BODY_PIECE)
                c->progress |= 1 << CLIENT_BODY;
        take(c, &in);
}

static void on_end(struct net_socket *socket, int error) {
        struct client *c = CLIENT_OF(socket);
        bool last_said = c->closing && (c->n_requests || c->out.size);

        c->ended = true;
        if (error || !last_said)
                client_fail(c);
}

static void on_sent(struct net_socket *socket, size_t size) {
        struct client *c = CLIENT_OF(socket);

        c->writing = false;
        if (size)
                output_consume(&c->out, size);
        client_touch(c);
}

static const struct net_handler handler = { on_data, on_end, on_sent };

/* Writing ----------------------------------------------------------------------------------------------------------------- */

/* Answers whose turn it is move to the output. A request that is answered before it was read stays until it is. */
static void collect(struct client *c) {
        struct request *request;

        while ((request = TAILQ_FIRST(&c->requests))) {
                output_splice(&c->out, &request->answer);
                if (request->state != REQUEST_ANSWERED || request == c->reading)
                        return;
                request_remove(c, request);
        }
}

static void send_output(struct client *c) {
        struct iovec iov[IOV_MAX_PER_SEND];

        while (c->out.size && !c->writing) {
                int n_iov = output_iov(&c->out, iov, IOV_MAX_PER_SEND);
                size_t size = 0;
                ssize_t n;

                for (int i = 0; i < n_iov; i++)
                        size += iov[i].iov_len;
                n = net_send(&c->socket, iov, n_iov);
                if (n < 0) {
                        c->failed = true;
                        return;
                }
                c->gateway->counters.bytes_out += (uint64_t)n;
                if (n > 0)
                        c->progress |= 1 << CLIENT_WRITING;
                c->writing = (size_t)n < size;
                output_consume(&c->out, (size_t)n);
        }
}

/* Deadlines --------------------------------------------------------------------------------------------------------------- */

static enum client_phase phase_of(const struct client *c) {
        if (c->phase == CLIENT_LINGER)
                return CLIENT_LINGER;
        if (c->writing)
                return CLIENT_WRITING;
        if (c->reading && can_take(c))
                return CLIENT_BODY;
        if (!c->closing && http_parser_in_head(&c->parser))
                return CLIENT_HEAD;
        return c->n_requests ? CLIENT_BUSY : CLIENT_IDLE;
}

static uint64_t phase_limit_ns(const struct client *c, enum client_phase phase) {
        switch (phase) {
        case CLIENT_HEAD:
                return HEAD_NS;
        case CLIENT_BODY:
                return BODY_NS;
        case CLIENT_WRITING:
                return WRITING_NS;
        case CLIENT_LINGER:
                return LINGER_NS;
        case CLIENT_IDLE:
                if (c->gateway->ending)
                        return ENDING_NS;
                break;
        case CLIENT_BUSY:
                break;
        }
        return IDLE_NS;
}

/* Has anything gone on since the phase was last looked at? */
static bool moved_on(const struct client *c, enum client_phase phase) {
        return phase != c->phase || (c->progress & 1 << phase);
}

/* While modules work, the deadline stays as it is: when it comes due, nothing is done. */
static void update_phase(struct client *c) {
        enum client_phase phase = phase_of(c);

        if (moved_on(c, phase)) {
                c->phase_ns = c->gateway->now_ns;
                c->piece = 0;
        }
        c->phase = phase;
        c->progress = 0;
        if (phase != CLIENT_BUSY)
                deadline_set(&c->gateway->deadlines, &c->deadline, c->phase_ns + phase_limit_ns(c, phase));
}

static void on_due(struct deadline *deadline) {
        struct client *c = CLIENT_OF_DEADLINE(deadline);

        client_touch(c);
        /* What came in this very turn counts: a request that was taken is answered. */
        if (moved_on(c, phase_of(c)))
                return;
        switch (c->phase) {
        case CLIENT_BUSY:
                break;
        case CLIENT_HEAD:
                refuse(c, REFUSAL_HEAD_TIMEOUT, false);
                break;
        case CLIENT_BODY:
                refuse(c, REFUSAL_BODY_TIMEOUT, false);
                break;
        case CLIENT_IDLE:
                if (c->gateway->ending)
                        stop_reading(c);
                else
                        client_fail(c);
                break;
        case CLIENT_WRITING:
        case CLIENT_LINGER:
                client_fail(c);
                break;
        }
}

static void client_end(struct client *c) {
        struct request *last = TAILQ_LAST(&c->requests, request_list);

        if (c->phase == CLIENT_IDLE)
                c->phase_ns = c->gateway->now_ns;
        if (last)
                last->keep_alive = false;
        /* What was read behind it is not begun. One that is being read closes behind itself. */
        if (last && !c->reading)
                stop_reading(c);
        client_touch(c);
}

void clients_end(struct gateway *g) {
        struct client *c;

        TAILQ_FOREACH(c, &g->clients, entry)
        client_end(c);
}

/* The list is gone round, a piece each time, so that each newcomer costs the same. A newcomer of this turn is spared. */
bool clients_drop_idle(struct gateway *g) {
        struct client *c, *longest = NULL;
        uint64_t since = g->now_ns;

        for (uint32_t i = MIN(g->n_clients, DROP_LOOK); i; i--) {
                c = TAILQ_FIRST(&g->clients);
                TAILQ_REMOVE(&g->clients, c, entry);
                TAILQ_INSERT_TAIL(&g->clients, c, entry);
                if (c->phase != CLIENT_IDLE || c->touched || c->phase_ns >= since)
                        continue;
                longest = c;
                since = c->phase_ns;
        }
        if (longest)
                client_close(longest);
        return longest;
}

/* The turn ---------------------------------------------------------------------------------------------------------------- */

static void linger(struct client *c) {
        if (!c->abandoned || c->ended || shutdown(c->socket.fd, SHUT_WR) < 0) {
                c->failed = true;
                return;
        }
        c->phase = CLIENT_LINGER;
        c->progress = 1 << CLIENT_LINGER;
        net_receive(&c->socket, true);
}

static void client_turn(struct client *c) {
        bool more;

        do {
                collect(c);
                more = c->held && can_take(c);
                if (more)
                        take_held(c);
        } while (more);
        if (!c->failed)
                send_output(c);
        if (!c->failed && c->closing && !c->n_requests && !c->out.size && c->phase != CLIENT_LINGER)
                linger(c);
        if (c->failed)
                return;
        net_receive(&c->socket, c->closing || (can_take(c) && !c->held));
        update_phase(c);
}

void clients_turn(struct gateway *g) {
        struct client *c;

        while ((c = TAILQ_FIRST(&g->touched))) {
                TAILQ_REMOVE(&g->touched, c, in_touched);
                /* Still marked: what it does to itself now needs no further turn. */
                client_turn(c);
                c->touched = false;
                if (c->failed)
                        client_close(c);
        }
}

static struct client *greediest(const struct gateway *g) {
        struct client *c, *most = NULL;
        size_t size = 0;

        TAILQ_FOREACH(c, &g->clients, entry) {
                size_t kept = buffered(c) + (c->held ? c->held_size : 0);

                if (kept > size) {
                        most = c;
                        size = kept;
                }
        }
        return most;
}

/* Refusing new requests instead would let a few who read nothing stop the service for all. */
void clients_relieve(struct gateway *g) {
        struct client *c;

        while (g->pool.used + g->n_held > g->memory_max && (c = greediest(g)))
                client_close(c);
}
