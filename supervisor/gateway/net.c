/* SPDX-License-Identifier: Apache-2.0
 *
 * What does not depend on the loop: who is read from and when, and sending.
 *
 * Those that can be read from and whose owner wants it stand in one queue; each
 * gets one piece a turn, and who has more queues up again behind the last one.
 *
 * Sending is a send() that does not wait, in both loops. As an operation of the
 * ring it would save a system call for each answer, but the kernel would know the
 * owner's memory beyond the call, also when the owner has gone, and every answer
 * would be looked after twice, at its begin and at its end.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/gateway/net-loop.h"

#define NET_OF(watch_) ((struct net *)((char *)(watch_)-offsetof(struct net, timer)))
#define FILE_PIECE (512u << 10) /* of one file that is sent in one turn */

/* Time ------------------------------------------------------------------------------------------------------------------ */

/* That the time has come is all that it has to say; nobody takes the count, which a new time sets back. */
static void on_timer(struct net_watch *watch, bool hung_up) {
        NET_OF(watch)->armed_ns = UINT64_MAX;
}

static int timer_init(struct net *net) {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), r;

        if (fd < 0)
                return -errno;
        r = net_watch_add(net, &net->timer, fd, true);
        if (r < 0)
                fd_close(fd);
        return r;
}

static void timer_deinit(struct net *net) {
        if (net->timer.kind == NET_NONE)
                return;
        net_watch_remove(net, &net->timer);
        fd_close(net->timer.fd);
}

/* A sleep with a time costs the setting and the taking back of a timer. This one stays where it is as long as it is early
 * enough: most deadlines are gone before they come, and of one that moves away it wakes once for nothing. */
static int timer_arm(struct net *net, uint64_t when_ns) {
        struct itimerspec t = { .it_value = { .tv_sec = (time_t)(when_ns / NS_PER_S), .tv_nsec = (long)(when_ns % NS_PER_S) } };

        if (net->armed_ns <= when_ns)
                return 0;
        if (timerfd_settime(net->timer.fd, TFD_TIMER_ABSTIME, &t, NULL) < 0)
                return -errno;
        net->armed_ns = when_ns;
        return 0;
}

/* Life ------------------------------------------------------------------------------------------------------------------ */

void net_init(struct net *net, const struct net_loop_ops *ops) {
        net->ops = ops;
        net->n_ready = net->n_roomy = net->turn = 0;
        net->n_kept = 0;
        net->armed_ns = UINT64_MAX;
        net->timer = (struct net_watch){ .on_ready = on_timer };
        TAILQ_INIT(&net->ready);
        TAILQ_INIT(&net->roomy);
}

static int loop_new(enum gateway_loop loop, struct net **ret_net, const char **ret_why) {
        int r;

        *ret_why = NULL;
        if (loop != GATEWAY_LOOP_EPOLL) {
                r = net_uring_new(ret_net, ret_why);
                if (r >= 0 || loop == GATEWAY_LOOP_URING)
                        return r;
        }
        return net_epoll_new(ret_net);
}

int net_new(enum gateway_loop loop, struct net **ret_net, const char **ret_why) {
        struct net *net;
        int r = loop_new(loop, &net, ret_why);

        if (r < 0)
                return r;
        r = timer_init(net);
        if (r < 0) {
                net_free(net);
                return r;
        }
        *ret_net = net;
        return 0;
}

struct net *net_free(struct net *net) {
        if (net) {
                timer_deinit(net);
                net->ops->free(net);
        }
        return NULL;
}

enum gateway_loop net_loop(const struct net *net) {
        return net->ops->loop;
}

/* Connections ----------------------------------------------------------------------------------------------------------- */

int net_socket_add(struct net *net, struct net_socket *socket, int fd, const struct net_handler *handler) {
        int r;

        *socket = (struct net_socket){ .kind = NET_SOCKET, .fd = fd, .handler = handler, .net = net, .wanted = true };
        r = net->ops->socket_add(net, socket);
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
        if (socket->queued || !(socket->readable || socket->kept) || !socket->wanted || socket->ended)
                return;
        TAILQ_INSERT_TAIL(&socket->net->ready, socket, entry);
        socket->net->n_ready++;
        socket->queued = true;
}

static void leave_roomy(struct net_socket *socket) {
        if (!socket->roomy)
                return;
        TAILQ_REMOVE(&socket->net->roomy, socket, in_roomy);
        socket->net->n_roomy--;
        socket->roomy = false;
}

static void kept_free(struct net_socket *socket) {
        socket->net->n_kept -= socket->kept_size;
        socket->kept = (free(socket->kept), NULL);
        socket->kept_size = socket->kept_at = 0;
}

void net_socket_remove(struct net_socket *socket) {
        if (socket->kind == NET_NONE)
                return;
        unqueue(socket);
        leave_roomy(socket);
        kept_free(socket);
        socket->kind = NET_NONE; /* what this turn still has of it */
        socket->net->ops->socket_remove(socket->net, socket);
        socket->fd = fd_close(socket->fd);
}

void net_socket_settle(struct net_socket *socket) {
        queue(socket);
        if (!socket->queued && !socket->ended)
                socket->net->ops->socket_await(socket->net, socket);
}

void net_receive(struct net_socket *socket, bool on) {
        if (socket->wanted == on)
                return;
        socket->wanted = on;
        if (!on)
                unqueue(socket);
        net_socket_settle(socket);
}

void net_socket_end(struct net_socket *socket, int error) {
        if (socket->ended)
                return;
        socket->ended = true;
        unqueue(socket);
        socket->handler->on_end(socket, error);
}

int net_socket_keep(struct net_socket *socket, const uint8_t *data, size_t size) {
        uint8_t *kept = realloc(socket->kept, socket->kept_size + size);

        if (!kept)
                return -ENOMEM;
        memcpy(kept + socket->kept_size, data, size);
        socket->kept = kept;
        socket->kept_size += (uint32_t)size;
        socket->net->n_kept += size;
        queue(socket);
        return 0;
}

size_t net_socket_kept(const struct net_socket *socket) {
        return socket->kept_size;
}

size_t net_kept(const struct net *net) {
        return net->n_kept;
}

static void take_kept(struct net_socket *socket) {
        uint32_t n = MIN(socket->kept_size - socket->kept_at, NET_RECEIVE_MAX);

        /* A copy, since the callee may remove the connection. */
        memcpy(socket->net->buffer, socket->kept + socket->kept_at, n);
        socket->kept_at += n;
        if (socket->kept_at == socket->kept_size)
                kept_free(socket);
        socket->handler->on_data(socket, socket->net->buffer, n);
}

static void take_received(struct net_socket *socket, size_t size) {
        /* Less than a bufferful: what comes later is told. An end that is known already is not. */
        if (size < NET_RECEIVE_MAX && !socket->ended_soon)
                socket->readable = false;
        socket->handler->on_data(socket, socket->net->buffer, size);
}

static void socket_read(struct net_socket *socket) {
        ssize_t n;

        socket->served = socket->net->turn;
        if (socket->kept) {
                take_kept(socket);
        } else {
                n = recv(socket->fd, socket->net->buffer, NET_RECEIVE_MAX, MSG_DONTWAIT);
                if (n > 0)
                        take_received(socket, (size_t)n);
                else if (n == 0)
                        net_socket_end(socket, 0);
                else if (errno == EAGAIN)
                        socket->readable = false;
                else if (errno != EINTR)
                        net_socket_end(socket, -errno);
        }
        if (socket->kind == NET_SOCKET)
                net_socket_settle(socket);
}

void net_socket_room(struct net_socket *socket, uint32_t events) {
        if (!socket->sending || !(events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
                return;
        socket->sending = false;
        leave_roomy(socket);
        socket->handler->on_sent(socket, 0);
}

void net_socket_readable(struct net_socket *socket) {
        socket->readable = true;
        net_socket_settle(socket);
}

void net_socket_ready(struct net_socket *socket, uint32_t events) {
        net_socket_room(socket, events);
        if (socket->kind != NET_SOCKET)
                return;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                socket->ended_soon = true;
        /* Gone in both directions: there is no sense in waiting until somebody wants to read it. */
        if (!socket->wanted && (events & (EPOLLHUP | EPOLLERR)))
                net_socket_end(socket, -ECONNRESET);
        else if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                net_socket_readable(socket);
}

/* One piece, nearly always: without the detour over a message header. */
static ssize_t send_pieces(int fd, const struct iovec *iov, int n_iov, bool more) {
        struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov };
        int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
        ssize_t n;

        do {
                if (n_iov == 1)
                        n = send(fd, iov->iov_base, iov->iov_len, flags);
                else
                        n = sendmsg(fd, &message, flags);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        return n;
}

ssize_t net_send(struct net_socket *socket, const struct iovec *iov, int n_iov, bool more) {
        size_t size = 0;
        ssize_t n;
        int r = 0;

        assert(!socket->sending);
        for (int i = 0; i < n_iov; i++)
                size += iov[i].iov_len;
        n = send_pieces(socket->fd, iov, n_iov, more);
        if (n < 0)
                return n;
        socket->sending = (size_t)n < size;
        if (socket->sending)
                r = socket->net->ops->socket_await_room(socket->net, socket);
        return r < 0 ? r : n;
}

ssize_t net_send_file(struct net_socket *socket, int fd, uint64_t offset, uint64_t size) {
        uint64_t piece = MIN(size, (uint64_t)FILE_PIECE), sent = 0;
        off_t at = (off_t)offset;
        bool full = false;
        int r = 0;

        assert(!socket->sending);
        while (sent < piece && !full) {
                ssize_t n = sendfile(socket->fd, fd, &at, piece - sent);

                if (n > 0)
                        sent += (uint64_t)n;
                else if (n == 0)
                        return -ENODATA;
                else if (errno == EAGAIN)
                        full = true;
                else if (errno != EINTR)
                        return -errno;
        }
        socket->sending = sent < size;
        if (full) {
                r = socket->net->ops->socket_await_room(socket->net, socket);
        } else if (socket->sending) {
                TAILQ_INSERT_TAIL(&socket->net->roomy, socket, in_roomy);
                socket->net->n_roomy++;
                socket->roomy = true;
        }
        return r < 0 ? r : (ssize_t)sent;
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
        if (listener->accepting != on)
                net->ops->listen(net, listener, on);
}

void net_listener_leave(struct net *net, struct net_listener *listener) {
        if (!listener->accepting)
                return;
        listener->leaving = true;
        net->ops->listen(net, listener, false);
}

void net_listener_left(struct net_listener *listener) {
        listener->leaving = false;
        listener->accepting = true;
        net_accept(listener, NET_QUEUE_MAX);
        listener->accepting = false;
}

void net_accepted(struct net_listener *listener, int fd, const struct sockaddr_storage *address) {
        int on = 1;

        if (address->ss_family == AF_INET || address->ss_family == AF_INET6)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        listener->on_accept(listener, fd, address);
}

bool net_accept(struct net_listener *listener, int most) {
        for (int i = 0; i < most && listener->accepting; i++) {
                struct sockaddr_storage address = { 0 };
                socklen_t size = sizeof(address);
                int fd = accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
                        continue;
                if (fd < 0) {
                        if (errno != EAGAIN)
                                listener->on_failed(listener, -errno);
                        return false;
                }
                net_accepted(listener, fd, &address);
        }
        return true;
}

/* Other descriptors ------------------------------------------------------------------------------------------------------ */

int net_watch_add(struct net *net, struct net_watch *watch, int fd, bool edge) {
        int r;

        watch->kind = NET_WATCH;
        watch->fd = fd;
        r = net->ops->watch_add(net, watch, edge);
        if (r < 0)
                watch->kind = NET_NONE;
        return r;
}

void net_watch_remove(struct net *net, struct net_watch *watch) {
        if (watch->kind == NET_NONE)
                return;
        watch->kind = NET_NONE;
        net->ops->watch_remove(net, watch);
}

/* The turn --------------------------------------------------------------------------------------------------------------- */

bool net_pending(const struct net *net) {
        return !TAILQ_EMPTY(&net->ready) || !TAILQ_EMPTY(&net->roomy) || net->ops->pending(net);
}

int net_wait(struct net *net, uint64_t now_ns, uint64_t when_ns) {
        bool sleeps = when_ns > now_ns && !net_pending(net);
        int r = sleeps && when_ns != UINT64_MAX ? timer_arm(net, when_ns) : 0;

        return r < 0 ? r : net->ops->wait(net, sleeps);
}

static void send_more(struct net *net) {
        struct net_socket *socket;

        for (uint32_t n = net->n_roomy; n && (socket = TAILQ_FIRST(&net->roomy)); n--)
                net_socket_room(socket, EPOLLOUT);
}

void net_dispatch(struct net *net) {
        struct net_socket *socket;

        net->turn++;
        send_more(net);
        net->ops->dispatch(net);
        /* Those that queue up again while this goes on stand behind the last of them: their turn is the next one. */
        for (uint32_t n = net->n_ready; n && (socket = TAILQ_FIRST(&net->ready)); n--) {
                unqueue(socket);
                if (socket->served == net->turn) /* by its loop */
                        queue(socket);
                else
                        socket_read(socket);
        }
}
