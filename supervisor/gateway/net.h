/* SPDX-License-Identifier: Apache-2.0
 *
 * The network half of the loop, in terms of completions: data has come, data was
 * sent. Two alternatives stand behind it, one of which is chosen at the start:
 * net-uring.c and net-epoll.c. Callbacks may remove any source, also the one they
 * are called for; memory of a removed one must stay until net_dispatch() has
 * returned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ipc/control.h"

#define NET_RECEIVE_MAX 65536u /* bytes that come in one callback at most */
#define NET_QUEUE_MAX 4096     /* what a listening socket's queue may hold */

struct net;
struct net_socket;

enum net_kind { NET_NONE, NET_SOCKET, NET_LISTENER, NET_WATCH };

struct net_handler {
        /* data may be changed by the callee and is valid during the call. */
        void (*on_data)(struct net_socket *socket, uint8_t *data, size_t size);
        /* 0: the peer has sent its last byte; -errno: the connection broke. Nothing more comes. */
        void (*on_end)(struct net_socket *socket, int error);
        /* After a net_send() that took less than all (never from within it): so many bytes more were taken since, try the rest. */
        void (*on_sent)(struct net_socket *socket, size_t size);
};

/* A connection, embedded in what it belongs to. */
struct net_socket {
        enum net_kind kind;
        int fd;
        const struct net_handler *handler;
        /* private to the implementation */
        struct net *net;
        TAILQ_ENTRY(net_socket) entry, in_roomy;
        uint8_t *kept; /* came while nobody wanted it, or before its turn */
        uint32_t kept_size, kept_at;
        uint32_t slot, turn, turn_size, served; /* served: in which turn it had its last piece */
        bool wanted, readable, queued, roomy, sending, ended, ended_soon, watches_room, stopping;
};

struct net_listener {
        enum net_kind kind;
        int fd;
        /* fd is the callee's. Also for a moment after net_listen(off): who was accepted already is not sent away. */
        void (*on_accept)(struct net_listener *listener, int fd, const struct sockaddr_storage *address);
        void (*on_failed)(struct net_listener *listener, int error); /* -EMFILE and the like */
        void *owner;
        bool shared; /* other processes accept from it, too: one connection at a time, in turns */
        /* private */
        bool accepting, leaving;
        uint32_t slot;
};

/* Any other descriptor: a link, a doorbell. */
struct net_watch {
        enum net_kind kind;
        int fd;
        void (*on_ready)(struct net_watch *watch, bool hung_up);
        uint32_t slot; /* private */
};

/* GATEWAY_LOOP_AUTO: io_uring where the host lets us, else epoll. 0 or -errno; *ret_why: why it is not io_uring, or NULL. */
int net_new(enum gateway_loop loop, struct net **ret_net, const char **ret_why);
struct net *net_free(struct net *net);
enum gateway_loop net_loop(const struct net *net);

/* Takes the fd over on success; 0 or -errno. */
int net_socket_add(struct net *net, struct net_socket *socket, int fd, const struct net_handler *handler);
void net_socket_remove(struct net_socket *socket); /* closes */
/* Back-pressure: does the owner take more data now? (On at first.) */
void net_receive(struct net_socket *socket, bool on);
/* How many bytes were taken, or -errno when the connection broke. When it were not all, the bytes must stay where they
 * are until on_sent() was called, and nothing may be sent before. `more`: what stands behind them is sent next, and may share a
 * packet with them. */
ssize_t net_send(struct net_socket *socket, const struct iovec *iov, int n_iov, bool more);
/* The same of a file's bytes, which never come here; of many only a piece, so that each has its turn. -ENODATA: the file has
 * fewer by now. */
ssize_t net_send_file(struct net_socket *socket, int fd, uint64_t offset, uint64_t size);
/* Bytes that were received and that the owner has not taken yet: of one connection, and of all. */
size_t net_socket_kept(const struct net_socket *socket);
size_t net_kept(const struct net *net);

/* Not accepting yet. 0 or -errno. */
int net_listener_init(struct net_listener *listener, int fd, bool shared,
                      void (*on_accept)(struct net_listener *listener, int fd, const struct sockaddr_storage *address),
                      void (*on_failed)(struct net_listener *listener, int error), void *owner);
void net_listen(struct net *net, struct net_listener *listener, bool on);
/* Accepts no more, for good. The kernel wakes one of those who accept from a socket: if that was us, nobody else knows of who
 * has just connected, so whoever waits by then is accepted yet. */
void net_listener_leave(struct net *net, struct net_listener *listener);
/* accept4(), as often as `most`, as long as it is accepting. False: there is nobody left. */
bool net_accept(struct net_listener *listener, int most);

/* edge: tell each change once (the callee drains it), else as long as something is there. */
int net_watch_add(struct net *net, struct net_watch *watch, int fd, bool edge);
void net_watch_remove(struct net *net, struct net_watch *watch); /* does not close */

/* Sleeps until something happens, or it is when_ns, at times earlier (UINT64_MAX: for ever; now or before: does not sleep).
 * 1 there is something to dispatch, 0 nothing, -errno. */
int net_wait(struct net *net, uint64_t now_ns, uint64_t when_ns);
/* Is there something left from the last turn, so that sleeping would be wrong? */
bool net_pending(const struct net *net);
/* Calls back for everything that happened; for data once for each connection, with a bounded piece. */
void net_dispatch(struct net *net);
