/* SPDX-License-Identifier: Apache-2.0
 *
 * What net.c, net-epoll.c and net-uring.c have together. net.c reads and writes
 * connections and sees to it that nobody is served twice before everybody was
 * served once; a loop finds out when there is something to do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "supervisor/gateway/net.h"

struct net_loop_ops {
        enum gateway_loop loop;
        void (*free)(struct net *net);
        int (*socket_add)(struct net *net, struct net_socket *socket);
        void (*socket_remove)(struct net *net, struct net_socket *socket); /* before it is closed */
        /* It was read empty, or it is not wanted: call net_socket_ready() when that changes. */
        void (*socket_await)(struct net *net, struct net_socket *socket);
        /* Call net_socket_ready() with EPOLLOUT when it takes more. 0 or -errno. */
        int (*socket_await_room)(struct net *net, struct net_socket *socket);
        void (*listen)(struct net *net, struct net_listener *listener, bool on);
        int (*watch_add)(struct net *net, struct net_watch *watch, bool edge);
        void (*watch_remove)(struct net *net, struct net_watch *watch);
        int (*wait)(struct net *net, bool sleeps); /* until something happens, or takes what has */
        bool (*pending)(const struct net *net);
        void (*dispatch)(struct net *net);
};

/* What each loop's own struct begins with. */
struct net {
        const struct net_loop_ops *ops;
        TAILQ_HEAD(net_socket_list, net_socket) ready; /* readable and wanted */
        struct net_socket_list roomy;                  /* there was room for more of a file than its share */
        uint32_t n_ready, n_roomy, turn;
        size_t n_kept;
        struct net_watch timer;
        uint64_t armed_ns; /* UINT64_MAX: it is not */
        uint8_t buffer[NET_RECEIVE_MAX];
};

int net_epoll_new(struct net **ret_net);
int net_uring_new(struct net **ret_net, const char **ret_why);

/* For loops ------------------------------------------------------------------------------------------------------------- */

void net_init(struct net *net, const struct net_loop_ops *ops);
/* EPOLL* of it: it queues up when it is wanted, and what waits for room goes on. */
void net_socket_ready(struct net_socket *socket, uint32_t events);
/* Only the latter. */
void net_socket_room(struct net_socket *socket, uint32_t events);
/* There is, or may be, something to be had by recv(). */
void net_socket_readable(struct net_socket *socket);
/* It queues up, or it is waited for. */
void net_socket_settle(struct net_socket *socket);
/* Data that was received for it: for its next turn. 0 or -ENOMEM. */
int net_socket_keep(struct net_socket *socket, const uint8_t *data, size_t size);
void net_socket_end(struct net_socket *socket, int error);
/* One that leaves is woken no more: accepts who waits. */
void net_listener_left(struct net_listener *listener);
/* A new connection goes to its owner. */
void net_accepted(struct net_listener *listener, int fd, const struct sockaddr_storage *address);
