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
 * Where bodies are streamed, stream.c bounds what there is of them.
 *
 * Everything is done once per turn of the loop: answers that came in one turn go
 * out in one call.
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
#include "supervisor/gateway/client-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/account.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"
#include "supervisor/gateway/upstream.h"

#define PIPELINE_MAX 16u
#define BUFFERED_MAX (256u << 10)
#define DROP_LOOK 64u /* connections that are looked at when one must go */

#define CLIENT_OF(socket_) ((struct client *)((char *)(socket_)-offsetof(struct client, socket)))

/* Life ------------------------------------------------------------------------------------------------------------------- */

static const struct net_handler handler;

static int client_init(struct client *c, struct gateway *g, int fd, const struct sockaddr_storage *peer, bool proxy) {
        int r;

        r = client_origin_init(&c->origin, g, peer, proxy);
        if (r < 0)
                return r;
        r = deadline_init(&g->deadlines, &c->deadline, client_on_due);
        if (r < 0)
                return r;
        r = net_socket_add(g->net, &c->socket, fd, &handler);
        if (r < 0)
                deadline_deinit(&g->deadlines, &c->deadline);
        return r;
}

int client_new(struct gateway *g, int fd, const struct sockaddr_storage *peer, bool proxy) {
        struct client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        r = client_init(c, g, fd, peer, proxy);
        if (r < 0) {
                client_origin_deinit(&c->origin, g);
                free(c);
                return r;
        }
        c->gateway = g;
        TAILQ_INIT(&c->requests);
        http_parser_init(&c->parser);
        output_init(&c->out, &g->pool);
        client_begin_phases(c);
        TAILQ_INSERT_TAIL(&g->clients, c, entry);
        g->n_clients++;
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

void client_remove_request(struct client *c, struct request *request) {
        account_request(request);
        TAILQ_REMOVE(&c->requests, request, in_client);
        c->n_requests--;
        if (c->reading == request)
                c->reading = NULL;
        request_free(request);
}

void client_forget_requests(struct client *c) {
        struct request *request;

        while ((request = TAILQ_FIRST(&c->requests))) {
                upstream_forget(request);
                if (!request->stream || !request->stream->begun)
                        request->status = 0;
                client_remove_request(c, request);
        }
}

/* Memory stays until the end of the turn: events may still name it. */
static void client_close(struct client *c) {
        struct gateway *g = c->gateway;

        if (c->dead)
                return;
        c->dead = true;
        if (c->touched)
                TAILQ_REMOVE(&g->touched, c, in_touched);
        c->touched = false;
        client_forget_requests(c);
        net_socket_remove(&c->socket);
        deadline_deinit(&g->deadlines, &c->deadline);
        http_parser_deinit(&c->parser);
        output_deinit(&c->out);
        client_held_free(c);
        client_origin_deinit(&c->origin, g);
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

/* Room -------------------------------------------------------------------------------------------------------------------- */

size_t client_buffered(const struct client *c) {
        const struct request *request;
        size_t size = c->out.size;

        TAILQ_FOREACH(request, &c->requests, in_client)
        size += request->answer.size;
        return size;
}

bool client_can_take(const struct client *c) {
        if (c->closing || c->failed || c->dead || client_buffered(c) >= BUFFERED_MAX)
                return false;
        return c->reading ? !c->reading->stream || !stream_is_full(c->reading->stream) : c->n_requests < PIPELINE_MAX;
}

struct request *client_add_request(struct client *c) {
        struct request *request = request_new(c->gateway, c);

        if (!request) {
                client_fail(c);
                return NULL;
        }
        request->origin = (struct forwarded){ .client = c->origin.address, .secure = c->origin.secure };
        TAILQ_INSERT_TAIL(&c->requests, request, in_client);
        c->n_requests++;
        return request;
}

void client_expect_none(struct client *c, const struct request *request) {
        if (c->reading != request)
                c->closing = true;
}

void client_stop_reading(struct client *c) {
        c->closing = c->abandoned = true;
        c->reading = NULL;
}

/* The socket -------------------------------------------------------------------------------------------------------------- */

/* False: there is no request yet. */
static bool take_proxy(struct client *c, struct http_input *in) {
        int r = client_origin_take(&c->origin, c->gateway, in);

        if (r < 0)
                client_fail(c);
        if (r == 0)
                c->progress |= 1 << CLIENT_HEAD;
        return r == 0;
}

static void on_data(struct net_socket *socket, uint8_t *data, size_t size) {
        struct client *c = CLIENT_OF(socket);
        struct http_input in = { data, data + size };

        client_touch(c);
        if (c->closing) {
                c->abandoned = true;
                return;
        }
        client_received(c, size);
        if (!c->origin.proxy || take_proxy(c, &in))
                client_take(c, &in);
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

static bool can_take_held(const struct client *c) {
        return c->held && client_can_take(c);
}

static void move_on(struct client *c) {
        bool more;

        do {
                client_collect(c);
                client_send_bodies(c);
                more = can_take_held(c);
                if (more)
                        client_take_held(c);
        } while (more);
}

static void client_turn(struct client *c) {
        do {
                move_on(c);
                if (!c->failed)
                        client_send(c);
                /* What went out at once has made room, and nothing else might come to tell us so. */
        } while (can_take_held(c));
        if (!c->failed && c->closing && !c->n_requests && !c->out.size && c->phase != CLIENT_LINGER)
                linger(c);
        if (c->failed)
                return;
        client_grant(c);
        net_receive(&c->socket, c->closing || (client_can_take(c) && !c->held));
        client_update_phase(c);
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

/* All of them ------------------------------------------------------------------------------------------------------------- */

static void client_end(struct client *c) {
        struct request *last = TAILQ_LAST(&c->requests, request_list);

        if (c->phase == CLIENT_IDLE)
                c->phase_ns = c->gateway->now_ns;
        if (last)
                last->keep_alive = false;
        /* What was read behind it is not begun. One that is being read closes behind itself. */
        if (last && !c->reading)
                client_stop_reading(c);
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
        if (longest) {
                counts_add_connection(g->bus.counts, COUNTS_CLOSED_ROOM);
                client_close(longest);
        }
        return longest;
}

static uint64_t client_kept(const struct client *c) {
        uint64_t size = output_kept(&c->out) + (c->held ? c->held_size : 0) + net_socket_kept(&c->socket);
        const struct request *request;

        TAILQ_FOREACH(request, &c->requests, in_client)
        size += output_kept(&request->answer) + (request->stream ? output_kept(&request->stream->pending) : 0);
        return size;
}

static struct client *greediest(const struct gateway *g) {
        struct client *c, *most = NULL;
        uint64_t size = 0;

        TAILQ_FOREACH(c, &g->clients, entry) {
                uint64_t kept = client_kept(c);

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

        while (g->pool.used + g->n_held + net_kept(g->net) > g->memory_max && (c = greediest(g)))
                client_close(c);
}
