/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepting, as long as there is room.
 */
#include "supervisor/gateway/listener.h"

#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/gateway.h"

#define LISTENERS_OF(field) ((struct listeners *)((char *)(field)-offsetof(struct listeners, retry)))
#define LISTENER_OF(field) ((struct listener *)((char *)(field)-offsetof(struct listener, net)))
#define CLIENTS_MIN 16u
#define RETRY_NS (100 * NS_PER_MS)
#define TELL_NS (60 * NS_PER_S)

static void on_retry(struct deadline *deadline) {
        listeners_room(LISTENERS_OF(deadline));
}

/* Edges take two descriptors each and a few more while they are made: a quarter of all is kept for them. */
static uint32_t clients_max(uint64_t n_files) {
        uint64_t kept = MIN(MAX(n_files / 4, UINT64_C(64)), UINT64_C(4096));

        return (uint32_t)MIN(MAX(n_files - MIN(kept, n_files), (uint64_t)CLIENTS_MIN), UINT64_C(1000000));
}

static uint32_t share_of(uint32_t n, uint32_t n_gateways) {
        n_gateways = MAX(n_gateways, 1u);
        return (n + n_gateways - 1) / n_gateways;
}

int listeners_init(struct listeners *l, struct gateway *gateway) {
        int64_t n = fd_allow_most();

        if (n < 0)
                return (int)n;
        *l = (struct listeners){ .gateway = gateway, .clients_max = clients_max((uint64_t)n) };
        if (gateway->setup.connections)
                l->clients_max = MIN(l->clients_max, share_of(gateway->setup.connections, gateway->n_gateways));
        return deadline_init(&gateway->deadlines, &l->retry, on_retry);
}

void listeners_deinit(struct listeners *l) {
        for (uint32_t i = 0; i < l->n; i++)
                fd_close(l->items[i].net.fd);
        l->n = 0;
        deadline_deinit(&l->gateway->deadlines, &l->retry);
}

static void listen_all(struct listeners *l, bool on) {
        for (uint32_t i = 0; i < l->n; i++)
                net_listen(l->gateway->net, &l->items[i].net, on);
}

static void pause_all(struct listeners *l, bool retry) {
        l->full = true;
        listen_all(l, false);
        if (retry)
                deadline_set(&l->gateway->deadlines, &l->retry, l->gateway->now_ns + RETRY_NS);
}

void listeners_room(struct listeners *l) {
        if (!l->full || l->gateway->n_clients >= l->clients_max)
                return;
        l->full = false;
        deadline_clear(&l->gateway->deadlines, &l->retry);
        if (l->open)
                listen_all(l, true);
}

static void on_accept(struct net_listener *net_listener, int fd, const struct sockaddr_storage *address) {
        const struct listener *listener = LISTENER_OF(net_listener);
        struct gateway *g = net_listener->owner;

        counts_add_connection(g->bus.counts, COUNTS_ACCEPTED);
        if (client_new(g, fd, address, listener->proxy) < 0)
                fd_close(fd);
        else if (g->n_clients >= g->listeners.clients_max && !clients_drop_idle(g))
                pause_all(&g->listeners, false);
}

/* No descriptor, no memory: somebody else may give some back without our knowing, so it is tried again soon. */
static void on_failed(struct net_listener *listener, int error) {
        struct gateway *g = listener->owner;

        if (!g->listeners.told_ns || g->now_ns - g->listeners.told_ns > TELL_NS) {
                log_warning("accept: %s; accepting pauses", strerror(-error));
                g->listeners.told_ns = g->now_ns;
        }
        pause_all(&g->listeners, true);
}

void listeners_add(struct listeners *l, int fd, uint32_t flags) {
        struct listener *listener;
        int r;

        if (l->n == CONTROL_LISTENERS_MAX) {
                fd_close(fd);
                return;
        }
        listener = &l->items[l->n];
        r = net_listener_init(&listener->net, fd, flags & LISTENER_SHARED, on_accept, on_failed, l->gateway);
        if (r < 0) {
                log_error("a listening socket cannot be used: %s", strerror(-r));
                fd_close(fd);
                return;
        }
        listener->proxy = flags & LISTENER_PROXY;
        l->n++;
        if (l->open && !l->full)
                net_listen(l->gateway->net, &listener->net, true);
}

void listeners_rescue(struct listeners *l, int fd, uint32_t flags) {
        struct listener orphan = { .proxy = flags & LISTENER_PROXY };

        if (net_listener_init(&orphan.net, fd, false, on_accept, on_failed, l->gateway) >= 0) {
                orphan.net.accepting = l->open;
                for (int i = 0; i < NET_QUEUE_MAX && !l->full && net_accept(&orphan.net, 1); i++)
                        ;
        }
        fd_close(fd);
}

bool listeners_open(struct listeners *l) {
        if (l->open || l->gateway->ending)
                return false;
        l->open = true;
        listen_all(l, true);
        return true;
}

void listeners_close(struct listeners *l) {
        l->open = false;
        for (uint32_t i = 0; i < l->n; i++)
                net_listener_leave(l->gateway->net, &l->items[i].net);
}
