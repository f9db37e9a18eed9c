/* SPDX-License-Identifier: Apache-2.0
 *
 * The lying worker. `start` puts one end of a socket pair where the SDK has its
 * control link: a thread passes on what the SDK and the manager say to each other,
 * but for edges, which it makes and serves itself.
 *
 * It is told what to do by a request on an edge that works as it should:
 *
 *   GET /liar/tell?lie=NAME           lies to the gateway over this very edge
 *   POST /liar/body?lie=NAME          likewise, while a body is to be streamed
 *   GET /liar/tell?lie=NAME&target=ID asks for an edge to an instance and lies there
 *   GET /liar/next?lie=NAME           the next edges' memory or doorbell is a lie
 *   GET /liar/link?lie=NAME           lies to the manager
 *   lies.tell {text: NAME, n: N}      lies to the worker that calls
 */
#include "liar.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <socle/module.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/http-payload.h"
#include "ipc/value.h"

struct liar liar = { .peers = TAILQ_HEAD_INITIALIZER(liar.peers) };

#define HEAR_MS 500

static const struct edge_limits limits = { .ring_size = LIAR_RING, .max_message = 1 << 20, .max_partial = 64 << 20 };

/* Peers -------------------------------------------------------------------------------------------------------------- */

void peer_close(struct peer *peer) {
        struct peer *p;

        TAILQ_FOREACH(p, &liar.peers, entry) {
                if (p->told_by == peer)
                        p->told_by = NULL;
        }
        TAILQ_REMOVE(&liar.peers, peer, entry);
        edge_free(peer->edge);
        fd_close(peer->kept_bell);
        fd_close(peer->files);
        free(peer);
}

static struct peer *peer_new(uint64_t id, const char *lie, int ret_fds[2]) {
        struct peer *peer = calloc(1, sizeof(*peer));

        if (!peer || edge_new(&peer->edge, &limits) != 0)
                abort();
        peer->id = id;
        peer->files = -1;
        edge_local_fds(peer->edge, ret_fds);
        peer->kept_bell = fd_dup(ret_fds[1]);
        TAILQ_INSERT_TAIL(&liar.peers, peer, entry);
        lie_of_memory(lie, peer->edge, ret_fds);
        return peer;
}

static void send_reply(struct peer *peer, const struct frame *request, const void *data, uint32_t size) {
        const struct frame frame = { .kind = FRAME_REPLY, .correlation = request->correlation };

        edge_send(peer->edge, &frame, data, size, NULL);
        edge_flush(peer->edge);
}

void peer_reply(struct peer *peer, const struct frame *request, int status, const char *text) {
        const struct http_reply_payload http = { .status = status, .body = text, .body_size = strlen(text) };
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        if (request->method == FRAME_METHOD_HTTP && http_reply_encode(&http, &data, &size) == 0)
                send_reply(peer, request, data, size);
        else if (request->method != FRAME_METHOD_HTTP)
                send_reply(peer, request, "\x82\xa4text\xa2ok\xa3pid\x00", 14); /* {text: "ok", pid: 0} */
}

void order_done(struct peer *peer, int status, const char *text) {
        if (peer->told_by)
                peer_reply(peer->told_by, &peer->told_with, status, text);
        peer->told_by = NULL;
}

/* The kernel counts the descriptors that are on their way by user: another liar, of another base under test, that has filled
 * its link is the same one to it. */
#define SEND_SURELY(...)                                                                                                                   \
        for (int tries = 0; tries < 1500 && CONTROL_SEND(liar.link, __VA_ARGS__) == CONTROL_E_AGAIN; tries++)                              \
        sleep_ms(1)

/* Orders ------------------------------------------------------------------------------------------------------------- */

static bool query_get(const char *query, const char *key, char *ret, size_t size) {
        const char *at = strstr(query, key);

        if (!at)
                return false;
        at += strlen(key);
        snprintf(ret, size, "%.*s", (int)strcspn(at, "&"), at);
        return true;
}

static void ask_edge(const struct order *order, struct peer *by, const struct frame *request) {
        int fds[2];
        struct peer *peer = peer_new(order->target, order->lie, fds);

        peer->order = *order;
        peer->told_by = by;
        peer->told_with = *request;
        peer->asked = ++liar.next_request;
        SEND_SURELY(EDGE_REQUEST, peer->asked, fds, 2, .target = order->target);
        edge_local_sent(peer->edge);
}

static void on_http(struct peer *peer, const struct frame *frame, const struct edge_message *m) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_request_payload http;
        struct order order = { 0 };
        char query[256], number[32], path[64];

        if (http_request_decode(m->payload, m->size, fields, &http) < 0)
                return;
        snprintf(path, sizeof(path), "%.*s", (int)http.path.size, http.path.text);
        snprintf(query, sizeof(query), "&%.*s", (int)http.query.size, http.query.text);
        query_get(query, "&lie=", order.lie, sizeof(order.lie));
        if (query_get(query, "&target=", number, sizeof(number)))
                order.target = strtoull(number, NULL, 10);
        if (query_get(query, "&n=", number, sizeof(number)))
                order.n = (uint32_t)strtoul(number, NULL, 10);
        if (!strcmp(path, "/liar/next")) {
                snprintf(liar.attach, sizeof(liar.attach), "%s", order.lie);
                peer_reply(peer, frame, 200, "next\n");
                peer_close(peer);
        } else if (!strcmp(path, "/liar/link")) {
                if (!lie_on_link(peer, &order, frame))
                        peer_reply(peer, frame, 404, "no such lie\n");
        } else if (order.target) {
                ask_edge(&order, peer, frame);
        } else if (!lie_about_file(peer, &order, frame) && !lie_on_edge(peer, &order, frame)) {
                peer_reply(peer, frame, 404, "no such lie\n");
        }
}

static void on_call(struct peer *peer, const struct frame *frame, const struct edge_message *m) {
        struct order order = { 0 };
        struct value v, item;
        const char *text;
        size_t size;
        uint64_t n;

        if (value_check(m->payload, m->size, &v, NULL) < 0 || value_map_get(&v, "text", &item) < 0 ||
            value_get_str(&item, &text, &size) < 0)
                return;
        snprintf(order.lie, sizeof(order.lie), "%.*s", (int)size, text);
        if (value_map_get(&v, "n", &item) == 0 && value_get_uint(&item, &n) == 0)
                order.n = (uint32_t)n;
        if (!lie_on_edge(peer, &order, frame))
                peer_reply(peer, frame, 404, "");
}

/* Edges -------------------------------------------------------------------------------------------------------------- */

/* False: the edge is gone, and the peer with it. */
static bool peer_read(struct peer *peer) {
        struct edge_message m;
        struct frame frame;
        int r;

        edge_on_bell(peer->edge);
        while (!peer->deaf && !(r = edge_receive(peer->edge, &m))) {
                struct peer *p;

                frame = m.frame;
                if (frame.kind != FRAME_REQUEST)
                        continue;
                edge_accept(peer->edge, &m);
                if (frame.method == FRAME_METHOD_HTTP)
                        on_http(peer, &frame, &m);
                else
                        on_call(peer, &frame, &m);
                TAILQ_FOREACH(p, &liar.peers, entry) {
                        if (p == peer)
                                break;
                }
                if (!p)
                        return false;
        }
        if (!peer->deaf && r != EDGE_E_EMPTY) {
                peer_close(peer);
                return false;
        }
        edge_flush(peer->edge);
        edge_arm(peer->edge);
        return true;
}

static void on_offer(struct control_record *record) {
        int fds[2];
        struct peer *peer = peer_new(record->EDGE_OFFER.peer, liar.attach, fds);

        edge_attach(peer->edge, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1]));
        peer->opened = record->EDGE_OFFER.edge;
        SEND_SURELY(EDGE_ACCEPT, 0, fds, 2, .edge = record->EDGE_OFFER.edge);
        edge_local_sent(peer->edge);
        peer->is_open = true;
}

static struct peer *peer_of_request(uint64_t request) {
        struct peer *p;

        TAILQ_FOREACH(p, &liar.peers, entry) {
                if (p->asked == request && !p->is_open)
                        return p;
        }
        return NULL;
}

struct heard {
        char text[64];
};

/* What comes of it. */
static struct heard hear(struct peer *peer) {
        uint64_t end = now_ms() + HEAR_MS;
        struct heard heard = { "nothing\n" };
        struct edge_message m;
        int r = EDGE_E_EMPTY;

        while (!peer->deaf && now_ms() < end && (r == EDGE_E_EMPTY)) {
                edge_on_bell(peer->edge);
                r = edge_receive(peer->edge, &m);
                if (r == EDGE_E_EMPTY)
                        sleep_ms(1);
        }
        if (r == 0 && m.frame.kind == FRAME_ERROR)
                snprintf(heard.text, sizeof(heard.text), "error %u\n", m.frame.error);
        else if (r == 0)
                snprintf(heard.text, sizeof(heard.text), "reply of %u bytes\n", m.size);
        else if (r != EDGE_E_EMPTY)
                snprintf(heard.text, sizeof(heard.text), "closed\n");
        return heard;
}

static void on_ready(struct control_record *record) {
        const struct frame frame = { .kind = FRAME_REQUEST, .method = 1, .correlation = 1 };
        struct peer *peer = peer_of_request(record->header.request);

        if (!peer)
                return;
        edge_attach(peer->edge, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1]));
        peer->opened = record->EDGE_READY.edge;
        peer->is_open = true;
        if (!lie_on_edge(peer, &peer->order, &frame))
                order_done(peer, 404, "no such lie\n");
        else
                order_done(peer, 200, hear(peer).text);
}

static struct peer *peer_of_channel(uint64_t id) {
        struct peer *peer;

        TAILQ_FOREACH(peer, &liar.peers, entry) {
                if (peer->id == id && peer->is_open)
                        return peer;
        }
        return NULL;
}

static void on_channel(struct control_record *record) {
        struct peer *peer = peer_of_channel(record->FILE_CHANNEL.peer);

        if (!peer)
                return;
        fd_close(peer->files);
        peer->files = TAKE_FD(record->fds[0]);
}

static void on_channel_open(const struct control_record *record) {
        struct peer *peer = peer_of_channel(record->FILE_CHANNEL_OPEN.peer);

        if (peer)
                on_file_channel(peer);
}

static void on_refused(const struct control_record *record) {
        struct peer *peer = peer_of_request(record->header.request);
        char text[64];

        if (!peer)
                return;
        snprintf(text, sizeof(text), "refused %d\n", record->EDGE_REFUSED.error);
        order_done(peer, 200, text);
        peer_close(peer);
}

/* The link ----------------------------------------------------------------------------------------------------------- */

static void pass_on(int to, const struct control_record *record) {
        control_send(to, record->header.kind, record->header.request, record->bytes, record->header.size, record->fds, record->n_fds);
}

static void on_manager(void) {
        struct control_record record;
        int r;

        while (!(r = control_receive(liar.link, CONTROL_MANAGER, CONTROL_WORKER, &record))) {
                if (record.header.kind == CONTROL_KIND_EDGE_OFFER)
                        on_offer(&record);
                else if (record.header.kind == CONTROL_KIND_EDGE_READY)
                        on_ready(&record);
                else if (record.header.kind == CONTROL_KIND_EDGE_REFUSED)
                        on_refused(&record);
                else if (record.header.kind == CONTROL_KIND_FILE_CHANNEL)
                        on_channel(&record);
                else if (record.header.kind == CONTROL_KIND_FILE_CHANNEL_OPEN)
                        on_channel_open(&record);
                else
                        pass_on(liar.sdk, &record);
                control_record_deinit(&record);
                if (liar.deaf)
                        return;
        }
        if (r != CONTROL_E_AGAIN)
                _exit(0);
}

static void on_sdk(void) {
        struct control_record record;

        while (control_receive(liar.sdk, CONTROL_WORKER, CONTROL_MANAGER, &record) == 0) {
                pass_on(liar.link, &record);
                control_record_deinit(&record);
        }
}

#define PEERS_MAX 200

static void *liar_main(void *unused) {
        struct pollfd polls[PEERS_MAX + 2];
        struct peer *peer, *next;

        for (;;) {
                nfds_t n = 2;

                polls[0] = (struct pollfd){ .fd = liar.deaf ? -1 : liar.link, .events = POLLIN };
                polls[1] = (struct pollfd){ .fd = liar.sdk, .events = POLLIN };
                TAILQ_FOREACH(peer, &liar.peers, entry) {
                        if (n < PEERS_MAX && peer->is_open && !peer->deaf)
                                polls[n++] = (struct pollfd){ .fd = edge_wait_fd(peer->edge), .events = POLLIN };
                }
                poll(polls, n, 20); /* a lie about bells must not keep us from being told of the next */
                on_sdk();
                if (!liar.deaf)
                        on_manager();
                for (peer = TAILQ_FIRST(&liar.peers); peer; peer = next) {
                        next = TAILQ_NEXT(peer, entry);
                        if (peer->is_open && !peer->deaf && !peer_read(peer))
                                break;
                }
        }
        return NULL;
}

static int find_link(void) {
        for (int fd = 3; fd < 256; fd++) {
                int type = 0;
                socklen_t size = sizeof(type);

                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
                        return fd;
        }
        return -1;
}

static int start(struct socle_module *self) {
        int link = find_link(), pair[2];
        pthread_t thread;

        signal(SIGPIPE, SIG_IGN);
        if (link < 0 || fd_socketpair(pair) < 0)
                return -ENOTCONN;
        liar.link = fd_dup(link);
        liar.sdk = pair[0];
        if (liar.link < 0 || dup3(pair[1], link, O_CLOEXEC) < 0)
                return -errno;
        fd_close(pair[1]);
        return pthread_create(&thread, NULL, liar_main, NULL) ? -EAGAIN : 0;
}

SOCLE_MODULE(.start = start);
