/* SPDX-License-Identifier: Apache-2.0
 *
 * net.h on epoll. Connections are edge-triggered and their readiness is kept
 * here, so that after the one EPOLL_CTL_ADD no further call is spent on interest:
 * a read that fills less than the buffer has emptied the socket, and one without
 * a wish to read waits in a flag. What is still readable after its turn queues up
 * for the next one: nobody is served twice before everybody was served once.
 *
 * Listeners are level-triggered and exclusive: of several gateway processes on
 * one socket one is woken, the first in the socket's queue that sleeps. Who has
 * taken a connection goes to the queue's end, so that it is another's turn.
 */
#include "supervisor/gateway/net.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"

#define EVENTS_PER_TURN 256
#define ACCEPTS_PER_TURN 64
#define FILE_PIECE (512u << 10) /* of one file that is sent in one turn */

/* What all three sources begin with. */
struct source {
        enum net_kind kind;
        int fd;
};

struct net {
        int epoll_fd;
        int n_events;
        struct epoll_event events[EVENTS_PER_TURN];
        TAILQ_HEAD(, net_socket) ready; /* readable and wanted */
        uint32_t n_ready;
        uint8_t buffer[NET_RECEIVE_MAX];
};

int net_new(struct net **ret_net) {
        struct net *net = malloc(sizeof(*net));

        if (!net)
                return -ENOMEM;
        net->n_events = 0;
        net->n_ready = 0;
        TAILQ_INIT(&net->ready);
        net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (net->epoll_fd < 0) {
                free(net);
                return -errno;
        }
        *ret_net = net;
        return 0;
}

struct net *net_free(struct net *net) {
        if (!net)
                return NULL;
        fd_close(net->epoll_fd);
        free(net);
        return NULL;
}

static int control(struct net *net, int op, void *source, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = source };

        return epoll_ctl(net->epoll_fd, op, ((struct source *)source)->fd, &event) < 0 ? -errno : 0;
}

/* Connections ------------------------------------------------------------------------------------------------------------ */

#define SOCKET_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

int net_socket_add(struct net *net, struct net_socket *socket, int fd, const struct net_handler *handler) {
        int r;

        *socket = (struct net_socket){ .kind = NET_SOCKET, .fd = fd, .handler = handler, .net = net, .wanted = true };
        r = control(net, EPOLL_CTL_ADD, socket, SOCKET_EVENTS);
        if (r < 0)
                socket->kind = NET_NONE;
        return r;
}

static void unqueue(struct net_socket *socket) {
        if (!socket->queued)
                return;
        TAILQ_REMOVE(&socket->net->ready, socket, entry);
        socket->net->n_ready--;
        socket->queued = false;
}

static void queue(struct net_socket *socket) {
        if (socket->queued || !socket->readable || !socket->wanted || socket->ended)
                return;
        TAILQ_INSERT_TAIL(&socket->net->ready, socket, entry);
        socket->net->n_ready++;
        socket->queued = true;
}

void net_socket_remove(struct net_socket *socket) {
        if (socket->kind == NET_NONE)
                return;
        unqueue(socket);
        socket->kind = NET_NONE; /* events of this turn that still name it */
        socket->fd = fd_close(socket->fd);
}

void net_receive(struct net_socket *socket, bool on) {
        socket->wanted = on;
        if (on)
                queue(socket);
        else
                unqueue(socket);
}

static void socket_end(struct net_socket *socket, int error) {
        if (socket->ended)
                return;
        socket->ended = true;
        unqueue(socket);
        socket->handler->on_end(socket, error);
}

static void socket_read(struct net_socket *socket) {
        struct net *net = socket->net;
        ssize_t n = recv(socket->fd, net->buffer, sizeof(net->buffer), 0);

        if (n > 0) {
                /* Less than a bufferful: what comes later gives an event of its own. An end that is known already does not. */
                if ((size_t)n < sizeof(net->buffer) && !socket->ended_soon)
                        socket->readable = false;
                socket->handler->on_data(socket, net->buffer, (size_t)n);
                if (socket->kind == NET_SOCKET)
                        queue(socket);
        } else if (n == 0) {
                socket_end(socket, 0);
        } else if (errno == EAGAIN) {
                socket->readable = false;
        } else if (errno == EINTR) {
                queue(socket);
        } else {
                socket_end(socket, -errno);
        }
}

/* One piece, nearly always: without the detour over a message header. */
static ssize_t send_pieces(int fd, const struct iovec *iov, int n_iov) {
        struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov };
        ssize_t n;

        do {
                if (n_iov == 1)
                        n = send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
                else
                        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        return n;
}

/* Rare, so that room is asked for only then. The answer comes at once if there is some already. */
static int ask_for_room(struct net_socket *socket) {
        int r = control(socket->net, EPOLL_CTL_MOD, socket, SOCKET_EVENTS | EPOLLOUT);

        if (r >= 0)
                socket->watches_room = true;
        return r;
}

ssize_t net_send(struct net_socket *socket, const struct iovec *iov, int n_iov) {
        size_t size = 0;
        ssize_t n;

        assert(!socket->sending);
        for (int i = 0; i < n_iov; i++)
                size += iov[i].iov_len;
        n = send_pieces(socket->fd, iov, n_iov);
        if (n < 0)
                return n;
        socket->sending = (size_t)n < size;
        if (socket->sending && !socket->watches_room) {
                int r = ask_for_room(socket);

                if (r < 0)
                        return r;
        }
        return n;
}

ssize_t net_send_file(struct net_socket *socket, int fd, uint64_t offset, uint64_t size) {
        uint64_t piece = MIN(size, (uint64_t)FILE_PIECE), sent = 0;
        off_t at = (off_t)offset;

        assert(!socket->sending);
        while (sent < piece) {
                ssize_t n = sendfile(socket->fd, fd, &at, piece - sent);

                if (n > 0)
                        sent += (uint64_t)n;
                else if (n == 0)
                        return -ENODATA;
                else if (errno == EAGAIN)
                        break;
                else if (errno != EINTR)
                        return -errno;
        }
        socket->sending = sent < size;
        if (socket->sending) {
                /* Asked for again each time: room that is left is no change, which alone would be told. */
                int r = ask_for_room(socket);

                if (r < 0)
                        return r;
        }
        return (ssize_t)sent;
}

static void on_socket(struct net_socket *socket, uint32_t events) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                socket->readable = true;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                socket->ended_soon = true;
        if (socket->sending && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
                socket->sending = false;
                socket->handler->on_sent(socket, 0);
                if (socket->kind != NET_SOCKET)
                        return;
        }
        /* Gone in both directions: there is no sense in waiting until somebody wants to read it. */
        if (!socket->wanted && (events & (EPOLLHUP | EPOLLERR)))
                socket_end(socket, -ECONNRESET);
        else
                queue(socket);
}

/* Listeners -------------------------------------------------------------------------------------------------------------- */

int net_listener_init(struct net_listener *listener, int fd, bool shared,
                      void (*on_accept)(struct net_listener *listener, int fd, const struct sockaddr_storage *address),
                      void (*on_failed)(struct net_listener *listener, int error), void *owner) {
        *listener = (struct net_listener){
                .kind = NET_LISTENER, .fd = fd, .shared = shared, .on_accept = on_accept, .on_failed = on_failed, .owner = owner
        };
        return fd_set_nonblock(fd, true);
}

void net_listen(struct net *net, struct net_listener *listener, bool on) {
        if (listener->accepting == on)
                return;
        /* An exclusive one cannot be modified, only taken away and added again. */
        if (control(net, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener, EPOLLIN | EPOLLEXCLUSIVE) == 0)
                listener->accepting = on;
}

static void to_the_end(struct net *net, struct net_listener *listener) {
        net_listen(net, listener, false);
        net_listen(net, listener, true);
        if (!listener->accepting)
                listener->on_failed(listener, -ENOMEM);
}

static void on_listener(struct net *net, struct net_listener *listener) {
        int most = listener->shared ? 1 : ACCEPTS_PER_TURN;

        for (int i = 0; i < most && listener->accepting; i++) {
                struct sockaddr_storage address = { 0 };
                socklen_t size = sizeof(address);
                int fd = accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

                if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
                        continue;
                if (fd < 0) {
                        if (errno != EAGAIN)
                                listener->on_failed(listener, -errno);
                        return;
                }
                if (address.ss_family == AF_INET || address.ss_family == AF_INET6)
                        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                listener->on_accept(listener, fd, &address);
                if (listener->shared && listener->accepting)
                        to_the_end(net, listener);
        }
}

/* Other descriptors ------------------------------------------------------------------------------------------------------ */

int net_watch_add(struct net *net, struct net_watch *watch, int fd, bool edge) {
        int r;

        watch->kind = NET_WATCH;
        watch->fd = fd;
        r = control(net, EPOLL_CTL_ADD, watch, EPOLLIN | (edge ? EPOLLET : 0));
        if (r < 0)
                watch->kind = NET_NONE;
        return r;
}

void net_watch_remove(struct net *net, struct net_watch *watch) {
        if (watch->kind == NET_NONE)
                return;
        watch->kind = NET_NONE;
        epoll_ctl(net->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

/* The turn --------------------------------------------------------------------------------------------------------------- */

bool net_pending(const struct net *net) {
        return !TAILQ_EMPTY(&net->ready);
}

int net_wait(struct net *net, uint64_t now_ns, uint64_t when_ns) {
        int timeout = -1;

        if (net_pending(net) || when_ns <= now_ns)
                timeout = 0;
        else if (when_ns != UINT64_MAX)
                timeout = (int)MIN((when_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS, (uint64_t)INT32_MAX);
        net->n_events = epoll_wait(net->epoll_fd, net->events, EVENTS_PER_TURN, timeout);
        if (net->n_events >= 0)
                return net->n_events > 0;
        net->n_events = 0;
        return errno == EINTR ? 0 : -errno;
}

static void on_event(struct net *net, const struct epoll_event *event) {
        struct source *source = event->data.ptr;

        switch (source->kind) {
        case NET_SOCKET:
                on_socket((struct net_socket *)source, event->events);
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

void net_dispatch(struct net *net) {
        struct net_socket *socket;

        for (int i = 0; i < net->n_events; i++)
                on_event(net, &net->events[i]);
        net->n_events = 0;
        /* Those that queue up again while this goes on stand behind the last of them: their turn is the next one. */
        for (uint32_t n = net->n_ready; n && (socket = TAILQ_FIRST(&net->ready)); n--) {
                unqueue(socket);
                socket_read(socket);
        }
}
