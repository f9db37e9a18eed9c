/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's connections, whole: clients on sockets and a worker on an edge,
 * all driven by a script, with a clock that is only a number. Each step is a byte
 * that says what happens and, for most, a byte that says how much. Clients send
 * requests and pieces of them, or whatever the input says; they read or do not,
 * leave, come back. The worker answers what it was sent, whole or in parts, in
 * any order, wrongly, or dies. Time passes.
 *
 * What must hold: bounds are kept at every step; what a client is sent reads as
 * answers of HTTP and nothing else, whatever the worker says; and when all have
 * left, nothing is kept or counted any more.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <llhttp.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/control.h"
#include "ipc/edge.h"
#include "ipc/fd.h"
#include "ipc/http-date.h"
#include "ipc/http-payload.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/upstream.h"

#define CLIENTS 3
#define KNOWN 16 /* requests that the worker remembers */
#define MEMORY (UINT64_C(1) << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gateway gateway, *const g = &gateway;
static struct directory_module module = {
        .name = "m", .n_instances = 1, .request_timeout_ms = 5000, .body_max = 60000, .up = 1, .n_settings = 1
};
static struct directory_route route = { .prefix = "/m" };
static struct directory_instance instance = { .id = 1, .version = "1.0.0", .state = DIRECTORY_ACTIVE, .weight = 1 };
static struct directory_setting setting = { .path = "/m/s", .flags = DIRECTORY_SETTING_STREAM, .timeout_ms = 5000, .body_max = 200000 };
static struct upstream_slot slots[1];
static int manager;

static struct peer {
        int fd;
        bool said_head; /* maybe: an answer to HEAD has no body, which the parser cannot know */
        bool broken;    /* its answers were cut: by us, or for what the worker did */
        llhttp_t parser;
} peers[CLIENTS];

static struct {
        struct edge *edge;
        uint64_t known[KNOWN];
        uint32_t n_known;
        struct pending {
                struct edge_outgoing out;
                uint8_t *data;
        } * pending; /* one that waits for room */
} worker;

static struct script { const uint8_t *at, *end; } script;

static uint8_t next(void) {
        return script.at < script.end ? *script.at++ : 0;
}

/* The gateway ------------------------------------------------------------------------------------------------------------- */

static void turn(void) {
        assert(net_wait(g->net, g->now_ns, 0) >= 0);
        net_dispatch(g->net);
        instances_turn(g);
        instances_relieve(g);
        deadlines_run(&g->deadlines, g->now_ns);
        upstreams_pump(g);
        clients_turn(g);
        clients_relieve(g);
        instances_flush(g);
        clients_free_dead(g);
        instances_free_dead(g);
        assert(g->n_clients <= CLIENTS);
        assert(g->pool.used + g->n_held <= g->memory_max + NET_RECEIVE_MAX);
        assert(g->n_charged <= g->memory_max);
}

static void gateway_start(void) {
        int pair[2];

        *g = (struct gateway){ .memory_max = MEMORY, .now_ns = NS_PER_S, .n_gateways = 1 };
        g->bus.table = (struct directory_table){ .n_modules = 1, .n_routes = 1, .n_instances = 1, .n_settings = 1 };
        g->bus.table.modules = &module;
        g->bus.table.routes = &route;
        g->bus.table.instances = &instance;
        g->bus.table.settings = &setting;
        g->bus.version = 1;
        g->bus.page_fd = g->bus.base.fd = -1;
        if (fd_socketpair(pair) < 0)
                abort();
        g->bus.manager.fd = pair[0];
        manager = pair[1];
        g->slots = slots;
        g->n_slots = 1;
        slots[0].upstream = NULL;
        TAILQ_INIT(&g->rung);
        TAILQ_INIT(&g->unflushed);
        TAILQ_INIT(&g->clients);
        TAILQ_INIT(&g->touched);
        call_table_init(&g->calls);
        http_date_format(0, g->date);
        if (net_new(GATEWAY_LOOP_EPOLL, &g->net, &g->no_uring) < 0 || listeners_init(&g->listeners, g) < 0)
                abort();
}

static void gateway_stop(void) {
        clients_deinit(g);
        g->slots = NULL; /* ours */
        upstreams_deinit(g);
        listeners_deinit(&g->listeners);
        call_table_deinit(&g->calls);
        deadlines_deinit(&g->deadlines);
        output_pool_deinit(&g->pool);
        g->net = net_free(g->net);
        fd_close(g->bus.manager.fd);
        fd_close(manager);
}

/* The worker -------------------------------------------------------------------------------------------------------------- */

static void on_sent(struct edge_outgoing *out, int result) {
        struct pending *pending = out->userdata;

        free(pending->data);
        free(pending);
        if (worker.pending == pending)
                worker.pending = NULL;
}

static void worker_end(void) {
        worker.edge = edge_free(worker.edge);
        worker.n_known = 0;
        if (worker.pending) {
                free(worker.pending->data);
                worker.pending = (free(worker.pending), NULL);
        }
}

static void worker_put(const struct frame *frame, const void *data, uint32_t size) {
        struct pending *pending = calloc(1, sizeof(*pending));

        if (!pending)
                abort();
        pending->data = malloc(size + 1);
        if (!pending->data)
                abort();
        memcpy(pending->data, data ? data : "", size);
        pending->out = (struct edge_outgoing){ .on_sent = on_sent, .userdata = pending };
        if (worker.pending || edge_send(worker.edge, frame, pending->data, size, &pending->out) != EDGE_E_FULL) {
                free(pending->data);
                free(pending);
        } else {
                worker.pending = pending;
        }
        edge_flush(worker.edge);
}

static void worker_take(void) {
        struct edge_message m;
        int r;

        edge_on_bell(worker.edge);
        while (!(r = edge_receive(worker.edge, &m))) {
                if (m.frame.kind == FRAME_REQUEST) {
                        worker.known[worker.n_known++ % KNOWN] = m.frame.correlation;
                        if (m.frame.correlation & 1)
                                edge_accept(worker.edge, &m);
                }
        }
        if (r == EDGE_E_EMPTY)
                edge_arm(worker.edge);
        else
                worker_end();
}

static void grant(struct control_record *record) {
        const struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        int fds[2];

        worker_end();
        if (edge_new(&worker.edge, &limits) < 0 || edge_attach(worker.edge, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1])) != 0)
                abort();
        edge_local_fds(worker.edge, fds);
        upstreams_on_edge(g, record->header.request, fd_dup(fds[0]), fd_dup(fds[1]));
        edge_local_sent(worker.edge);
}

static void manager_turn(void) {
        struct control_record record;

        while (!control_receive(manager, CONTROL_GATEWAY, CONTROL_MANAGER, &record)) {
                if (record.header.kind == CONTROL_KIND_EDGE_REQUEST)
                        grant(&record);
                /* A poisoned one is not asked again before there is news of it. */
                if (record.header.kind == CONTROL_KIND_EDGE_POISONED)
                        g->bus.version++;
                control_record_deinit(&record);
        }
        g->bus.watching = false;
}

static uint64_t some_request(uint8_t which) {
        uint32_t n = MIN(worker.n_known, (uint32_t)KNOWN);

        return n ? worker.known[which % n] : which;
}

/* Fields as modules may say them, and as they may not. */
static void worker_reply(uint8_t how, uint64_t correlation, uint8_t flags) {
        static const struct http_field fields[] = {
                { { "content-type", 12 }, { "text/plain", 10 } },
                { { "content-length", 14 }, { "7", 1 } },
                { { "x-a", 3 }, { "a\r\nb: c", 7 } },
                { { "transfer-encoding", 17 }, { "chunked", 7 } },
                { { "connection", 10 }, { "close", 5 } },
                { { "x b", 3 }, { "c", 1 } },
        };
        static const int statuses[] = { 200, 204, 304, 404, 500, 100, 206, 999 };
        static uint8_t body[70000];
        const struct http_reply_payload p = { .status = statuses[how % 8],
                                              .fields = &fields[how % N_ELEMENTS(fields)],
                                              .n_fields = how & 1,
                                              .body = body,
                                              .body_size = flags & FRAME_STREAM ? 0
                                                           : how & 64           ? sizeof(body)
                                                                                : how };
        const struct frame frame = { .kind = FRAME_REPLY, .flags = flags, .correlation = correlation };
        uint8_t *data;
        uint32_t size;

        memset(body, 'x', sizeof(body));
        if (http_reply_encode(&p, &data, &size) < 0)
                return;
        worker_put(&frame, data, size);
        free(data);
}

static void worker_part(uint8_t how, uint64_t correlation) {
        static const enum frame_kind kinds[] = { FRAME_DATA, FRAME_DATA, FRAME_END, FRAME_CREDIT };
        const struct frame frame = { .kind = (uint8_t)kinds[how % 4], .flags = FRAME_STREAM, .correlation = correlation };
        uint64_t credit = (uint64_t)how * 1024;
        static uint8_t data[4096];
        const uint32_t size = frame.kind == FRAME_DATA ? 1 + (uint32_t)how * 8 : frame.kind == FRAME_CREDIT ? sizeof(credit) : 0;

        if (frame.kind == FRAME_CREDIT)
                memcpy(data, &credit, sizeof(credit));
        worker_put(&frame, data, size);
}

static void worker_raw(uint8_t how, uint64_t correlation) {
        const struct frame frame = { .kind = how & 15, .flags = how >> 4 & 7, .correlation = correlation, .error = how };
        uint32_t wanted = next(), size = MIN(wanted, (uint32_t)(script.end - script.at));
        const uint8_t *data = script.at;

        script.at += size;
        worker_put(&frame, data, size);
}

static void worker_step(uint8_t what, uint8_t how) {
        if (!worker.edge)
                return;
        worker_take();
        if (!worker.edge)
                return;
        switch (what % 5) {
        case 0:
                worker_reply(how, some_request(how >> 3), 0);
                break;
        case 1:
                worker_reply(how, some_request(how >> 3), FRAME_STREAM);
                break;
        case 2:
                worker_part(how, some_request(next()));
                break;
        case 3:
                worker_raw(how, some_request(next()));
                break;
        case 4:
                if (how < 64)
                        worker_end();
                break;
        }
}

/* Clients ----------------------------------------------------------------------------------------------------------------- */

/* A break that we made, or that a broken answer makes, may come anywhere; an error of the parser may not. */
static void peer_read(struct peer *p, size_t most) {
        static char text[65536];
        ssize_t n = recv(p->fd, text, MIN(most, sizeof(text)), MSG_DONTWAIT);

        if (n <= 0 || p->said_head)
                return;
        if (llhttp_execute(&p->parser, text, (size_t)n) != HPE_OK)
                abort();
}

static void peer_write(struct peer *p, const void *data, size_t size) {
        p->said_head |= memmem(data, size, "HEAD", 4) || memmem(data, size, "head", 4) || size < 8;
        if (send(p->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return;
}

static const char *const texts[] = {
        "GET /m HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /m HTTP/1.1\r\nHost: x\r\n\r\nGET /m/2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /m HTTP/1.0\r\n\r\n",
        "GET /nobody HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234",
        "56789",
        "POST /m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "POST /m/s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /m/s HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\nExpect: 100-continue\r\n\r\n",
        "PUT /m/s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n01234",
        "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
};

static void peer_say(struct peer *p, uint8_t how) {
        static char filler[4096];
        uint32_t size = MIN(how, (uint32_t)(script.end - script.at));

        if (how < N_ELEMENTS(texts)) {
                peer_write(p, texts[how], strlen(texts[how]));
        } else if (how & 128) {
                memset(filler, 'b', sizeof(filler));
                peer_write(p, filler, 32u * (how & 127u));
        } else {
                peer_write(p, script.at, size);
                script.at += size;
        }
}

static void peer_leave(struct peer *p) {
        p->fd = fd_close(p->fd);
}

static void peer_connect(struct peer *p) {
        static llhttp_settings_t settings;
        struct sockaddr_storage address = { .ss_family = AF_UNIX };
        int pair[2], room = 4096;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
                abort();
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
        *p = (struct peer){ .fd = pair[1] };
        llhttp_settings_init(&settings);
        llhttp_init(&p->parser, HTTP_RESPONSE, &settings);
        if (client_new(g, pair[0], &address, false) < 0)
                abort();
}

static void peer_step(struct peer *p, uint8_t what, uint8_t how) {
        if (p->fd < 0) {
                if (g->n_clients < CLIENTS)
                        peer_connect(p);
                return;
        }
        switch (what % 4) {
        case 0:
        case 1:
                peer_say(p, how);
                break;
        case 2:
                peer_read(p, 1 + (size_t)how * 256);
                break;
        case 3:
                if (how & 1)
                        shutdown(p->fd, SHUT_WR);
                else if (how < 64)
                        peer_leave(p);
                break;
        }
}

/* The script -------------------------------------------------------------------------------------------------------------- */

static void step(void) {
        uint8_t what = next(), how = next();

        if (what < 128)
                peer_step(&peers[what % CLIENTS], what / CLIENTS, how);
        else if (what < 224)
                worker_step(what, how);
        else
                g->now_ns += (uint64_t)how * how * NS_PER_MS;
}

/* Everybody leaves: what is kept for somebody is not kept any more. */
static void all_leave(void) {
        for (size_t i = 0; i < CLIENTS; i++)
                peer_leave(&peers[i]);
        worker_end();
        for (int i = 0; i < 8 || (i < 200 && g->n_clients); i++) {
                g->now_ns += 10 * NS_PER_S;
                turn();
                manager_turn();
                worker_end();
        }
        assert(!g->n_clients);
        assert(!g->n_charged && !g->n_held && !g->n_partial);
        assert(!g->n_waiting && !g->counters.in_flight);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        signal(SIGPIPE, SIG_IGN);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        script = (struct script){ data, data + size };
        gateway_start();
        for (size_t i = 0; i < CLIENTS; i++)
                peers[i].fd = -1;
        peer_connect(&peers[0]);
        for (int n = 0; script.at < script.end && n < 400; n++) {
                step();
                turn();
                manager_turn();
        }
        all_leave();
        gateway_stop();
        return 0;
}
