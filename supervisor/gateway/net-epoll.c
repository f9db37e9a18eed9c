/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop on epoll. Connections are edge-triggered and their readiness is kept
 * (net.c), so that after the one EPOLL_CTL_ADD no further call is spent on
 * interest: a read that fills less than the buffer has emptied the socket, and
 * one without a wish to read waits in a flag.
 *
 * Listeners are level-triggered and exclusive: of several gateway processes on
 * one socket one is woken, the first in the socket's queue that sleeps. Who has
 * taken a connection goes to the queue's end, so that it is another's turn.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/gateway/net-loop.h"

#define EVENTS_PER_TURN 256
#define ACCEPTS_PER_TURN 64
#define SOCKET_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* What all three sources begin with. */
struct source {
        enum net_kind kind;
        int fd;
};

struct epoll {
        struct net net;
        int fd;
        int n_events;
        struct epoll_event events[EVENTS_PER_TURN];
};

#define EPOLL_OF(net_) ((struct epoll *)(net_))

static int control(struct net *net, int op, void *source, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = source };

        return epoll_ctl(EPOLL_OF(net)->fd, op, ((struct source *)source)->fd, &event) < 0 ? -errno : 0;
}

static void epoll_free(struct net *net) {
        fd_close(EPOLL_OF(net)->fd);
        free(net);
}

/* Connections ------------------------------------------------------------------------------------------------------------ */

static int socket_add(struct net *net, struct net_socket *socket) {
        return control(net, EPOLL_CTL_ADD, socket, SOCKET_EVENTS);
}

/* All of it is in the one EPOLL_CTL_ADD; and the close takes it away. */
static void socket_remove(struct net *net, struct net_socket *socket) {
}

static void socket_await(struct net *net, struct net_socket *socket) {
}

/* Rare, so that room is asked for only then. The answer comes at once if there is some already. */
static int socket_await_room(struct net *net, struct net_socket *socket) {
        int r;

        if (socket->watches_room)
                return 0;
        r = control(net, EPOLL_CTL_MOD, socket, SOCKET_EVENTS | EPOLLOUT);
        socket->watches_room = r >= 0;
        return r;
}

/* Listeners -------------------------------------------------------------------------------------------------------------- */

/* An exclusive one cannot be modified, only taken away and added again. */
static void listen_on(struct net *net, struct net_listener *listener, bool on) {
        int r = control(net, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener, EPOLLIN | EPOLLEXCLUSIVE);

        listener->accepting = on && r >= 0;
        if (listener->leaving)
                net_listener_left(listener);
}

static void on_listener(struct net *net, struct net_listener *listener) {
        if (!net_accept(listener, listener->shared ? 1 : ACCEPTS_PER_TURN) || !listener->shared || !listener->accepting)
                return;
        listen_on(net, listener, false);
        listen_on(net, listener, true);
        if (!listener->accepting)
                listener->on_failed(listener, -ENOMEM);
}

/* Other descriptors ------------------------------------------------------------------------------------------------------ */

static int watch_add(struct net *net, struct net_watch *watch, bool edge) {
        return control(net, EPOLL_CTL_ADD, watch, EPOLLIN | (edge ? EPOLLET : 0));
}

static void watch_remove(struct net *net, struct net_watch *watch) {
        epoll_ctl(EPOLL_OF(net)->fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

/* The turn --------------------------------------------------------------------------------------------------------------- */

static bool pending(const struct net *net) {
        return false;
}

static int wait_events(struct net *net, bool sleeps) {
        struct epoll *e = EPOLL_OF(net);

        e->n_events = epoll_wait(e->fd, e->events, EVENTS_PER_TURN, sleeps ? -1 : 0);
        if (e->n_events >= 0)
                return e->n_events > 0;
        e->n_events = 0;
        return errno == EINTR ? 0 : -errno;
}

static void on_event(struct net *net, const struct epoll_event *event) {
        struct source *source = event->data.ptr;

        switch (source->kind) {
        case NET_SOCKET:
                net_socket_ready((struct net_socket *)source, event->events);
                break;
        case NET_LISTENER:
                on_listener(net, (struct net_listener *)source);
                break;
        case NET_WATCH:
                ((struct net_watch *)source)->on_ready((struct net_watch *)source, event->events & (EPOLLHUP | EPOLLERR));
                break;
        case NET_NONE:
                break;
        }
}

static void dispatch(struct net *net) {
        struct epoll *e = EPOLL_OF(net);

        for (int i = 0; i < e->n_events; i++)
                on_event(net, &e->events[i]);
        e->n_events = 0;
}

static const struct net_loop_ops ops = {
        .loop = GATEWAY_LOOP_EPOLL,
        .free = epoll_free,
        .socket_add = socket_add,
        .socket_remove = socket_remove,
        .socket_await = socket_await,
        .socket_await_room = socket_await_room,
        .listen = listen_on,
        .watch_add = watch_add,
        .watch_remove = watch_remove,
        .wait = wait_events,
        .pending = pending,
        .dispatch = dispatch,
};

int net_epoll_new(struct net **ret_net) {
        struct epoll *e = malloc(sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        net_init(&e->net, &ops);
        e->n_events = 0;
        e->fd = epoll_create1(EPOLL_CLOEXEC);
        if (e->fd < 0) {
                r = -errno;
                free(e);
                return r;
        }
        *ret_net = &e->net;
        return 0;
}
