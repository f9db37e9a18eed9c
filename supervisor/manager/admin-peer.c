/* SPDX-License-Identifier: Apache-2.0
 *
 * evhttp reads a whole body before it calls anybody, and says nothing when it has
 * accepted a connection. It does ask for a bufferevent to put it in. So whoever
 * connected is looked at by an event that is made active there: it runs when the
 * bufferevent has its socket and its evhttp_connection, and before the loop asks
 * the kernel again, so before anything is read.
 */
#include "supervisor/manager/admin-peer.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <sys/time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/manager.h"

#define STRANGER_S 10

struct peer {
        TAILQ_ENTRY(peer) entry;
        struct evhttp_connection *connection;
        bool is_stranger;
        void (*on_gone)(struct evhttp_connection *connection, void *userdata);
        void *userdata;
};

static TAILQ_HEAD(, peer) peers = TAILQ_HEAD_INITIALIZER(peers);
static unsigned n_peers, n_strangers;
static const struct manager *manager;

static void on_closed(struct evhttp_connection *connection, void *userdata) {
        struct peer *p = userdata;

        TAILQ_REMOVE(&peers, p, entry);
        n_peers--;
        n_strangers -= p->is_stranger;
        if (p->on_gone)
                p->on_gone(connection, p->userdata);
        free(p);
}

static struct peer *peer_new(struct evhttp_connection *connection, enum admin_access access) {
        bool is_stranger = access == ADMIN_NOTHING;
        struct peer *p;

        if (n_peers == ADMIN_PEERS_MAX || (is_stranger && n_strangers == ADMIN_STRANGERS_MAX))
                return NULL;
        p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;
        p->connection = connection;
        p->is_stranger = is_stranger;
        TAILQ_INSERT_TAIL(&peers, p, entry);
        n_peers++;
        n_strangers += is_stranger;
        evhttp_connection_set_closecb(connection, on_closed, p);
        return p;
}

/* evhttp reads on while a request is answered, so what comes behind one is bounded as well. */
static void peer_limit(struct evhttp_connection *connection, struct bufferevent *bev, enum admin_access access) {
        const struct timeval soon = { .tv_sec = STRANGER_S };
        size_t body = access == ADMIN_CHANGE ? ADMIN_BODY_MAX : ADMIN_VIEWER_BODY_MAX;

        evhttp_connection_set_max_body_size(connection, (ev_ssize_t)body);
        bufferevent_setwatermark(bev, EV_READ, 0, body + ADMIN_HEAD_MAX);
        if (access == ADMIN_NOTHING)
                bufferevent_set_timeouts(bev, &soon, &soon);
}

static void on_accepted(evutil_socket_t unused, short what, void *userdata) {
        struct bufferevent *bev = userdata;
        enum admin_access access;
        char actor[ADMIN_ACTOR_SIZE];
        void *connection = NULL;

        /* evhttp's own argument; NULL: it has given it up already. */
        bufferevent_getcb(bev, NULL, NULL, NULL, &connection);
        if (connection) {
                access = admin_access(manager, bufferevent_getfd(bev), actor);
                peer_limit(connection, bev, access);
                if (!peer_new(connection, access))
                        evhttp_connection_free(connection);
        }
        bufferevent_decref(bev);
}

static struct bufferevent *on_accept(struct event_base *loop, void *userdata) {
        struct bufferevent *bev = bufferevent_socket_new(loop, -1, 0);

        if (!bev)
                return NULL; /* evhttp makes its own, or has no memory for it either: without on_accepted(), what all may do */
        bufferevent_incref(bev);
        if (event_base_once(loop, -1, EV_TIMEOUT, on_accepted, bev, NULL) < 0)
                bufferevent_decref(bev);
        return bev;
}

void admin_peers_watch(struct manager *m, struct evhttp *http) {
        manager = m;
        evhttp_set_max_body_size(http, ADMIN_VIEWER_BODY_MAX);
        evhttp_set_max_headers_size(http, ADMIN_HEAD_MAX);
        evhttp_set_bevcb(http, on_accept, NULL);
}

void admin_on_gone(struct evhttp_request *req, void (*fn)(struct evhttp_connection *connection, void *userdata), void *userdata) {
        struct evhttp_connection *connection = evhttp_request_get_connection(req);
        struct peer *p;

        TAILQ_FOREACH(p, &peers, entry) {
                if (p->connection != connection)
                        continue;
                p->on_gone = fn;
                p->userdata = userdata;
                return;
        }
        evhttp_connection_set_closecb(connection, fn, userdata); /* there was no memory to look at it */
}
