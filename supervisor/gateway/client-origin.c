/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a connection is.
 *
 * There may be two kinds of proxies in front of us. One that passes on bytes names
 * its client once, in a PROXY header; one that speaks HTTP names it in each
 * request's head, and its connections carry requests of many. Behind each other,
 * the PROXY header says who speaks HTTP with us, and that one's headers are
 * believed when it is trusted itself: what a client writes into its head passes
 * through the first kind unseen.
 *
 * Counted is who has opened the connection. Of a trusted proxy that speaks HTTP
 * this is nobody's in particular, so its connections are not.
 */
#include "supervisor/gateway/client-origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/proxy-protocol.h"

#define TELL_NS (60 * NS_PER_S)

/* Once a minute for each reason, with how many it were. */
static void tell(struct gateway *g, const struct client_origin *o, enum counts_connection what, const char *why) {
        struct gateway_refused *refused = what == COUNTS_CLOSED_PROXY ? &g->refused_proxy : &g->refused_clients;

        counts_add_connection(g->bus.counts, what);
        refused->n++;
        if (refused->told_ns && g->now_ns - refused->told_ns < TELL_NS)
                return;
        log_warning("a connection of %s is closed: %s (%llu such since the gateway's start)", o->text, why, (unsigned long long)refused->n);
        refused->told_ns = g->now_ns;
}

static int tell_proxy(struct gateway *g, const struct client_origin *o, const char *why, int error) {
        tell(g, o, COUNTS_CLOSED_PROXY, why);
        return error;
}

static int origin_count(struct client_origin *o, struct gateway *g) {
        int r = 0;

        if (g->setup.client_connections && !o->trusted && o->address.kind == ADDRESS_IP)
                r = client_counts_enter(&g->client_counts, &o->address, g->setup.client_connections, &o->count);
        if (r == -EUSERS)
                tell(g, o, COUNTS_CLOSED_CLIENT, "it has as many as [gateway] client-connections allows");
        return r;
}

static void origin_set(struct client_origin *o, const struct gateway *g, const struct address *address) {
        o->address = *address;
        o->trusted = address_set_contains(&g->setup.trusted, address);
        o->text_size = (uint8_t)address_format(address, o->text);
}

int client_origin_init(struct client_origin *o, struct gateway *g, const struct sockaddr_storage *peer, bool proxy) {
        struct address address = address_of(peer);

        origin_set(o, g, &address);
        if (!proxy)
                return origin_count(o, g);
        if (!o->trusted)
                return tell_proxy(g, o, "the listener takes the PROXY protocol, and it is not in [gateway] trusted", -EPERM);
        o->proxy = malloc(sizeof(*o->proxy));
        if (!o->proxy)
                return -ENOMEM;
        proxy_parser_init(o->proxy);
        return 0;
}

void client_origin_deinit(struct client_origin *o, struct gateway *g) {
        o->proxy = (free(o->proxy), NULL);
        client_counts_leave(&g->client_counts, o->count);
        o->count = NULL;
}

static int origin_take_over(struct client_origin *o, struct gateway *g) {
        struct proxy_parser *p = o->proxy;

        if (p->client.kind != ADDRESS_NONE)
                origin_set(o, g, &p->client);
        o->secure = p->secure;
        o->proxy = (free(p), NULL);
        return origin_count(o, g);
}

int client_origin_take(struct client_origin *o, struct gateway *g, struct http_input *in) {
        switch (proxy_parser_next(o->proxy, &in->at, in->end)) {
        case PROXY_MORE:
                return 1;
        case PROXY_DONE:
                return origin_take_over(o, g);
        case PROXY_REFUSED:
                break;
        }
        return tell_proxy(g, o, "what it began with is no PROXY header", -EBADMSG);
}

struct forwarded client_origin_of(const struct client_origin *o, const struct gateway *g, struct http_head *head) {
        enum forwarding forwarding = (enum forwarding)g->setup.forwarding;
        struct forwarded f = { .client = o->address, .secure = o->secure };

        if (o->trusted)
                forwarded_follow(&f, head, forwarding, &g->setup.trusted);
        forwarded_strip(head, forwarding, o->trusted);
        return f;
}
