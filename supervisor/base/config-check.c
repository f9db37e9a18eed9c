/* SPDX-License-Identifier: Apache-2.0
 *
 * A mistake in [gateway] listen is found by who listens, and that is at the next
 * start, when nobody looks and nothing serves. So a reload asks before it takes
 * anything: the file is read as at a start, and each address that is new is bound
 * for a moment. One that ours of now are in the way of cannot be tried, but that the
 * group of a path can be another.
 */
#include "supervisor/base/config-check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/base/base.h"
#include "supervisor/base/boot.h"
#include "supervisor/base/listeners.h"

static in_port_t port_of(const struct control_listener *l) {
        return l->address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&l->address)->sin6_port
                                                : ((const struct sockaddr_in *)&l->address)->sin_port;
}

static bool is_any(const struct control_listener *l) {
        if (l->address.ss_family == AF_INET6)
                return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&l->address)->sin6_addr);
        return ((const struct sockaddr_in *)&l->address)->sin_addr.s_addr == INADDR_ANY;
}

static bool is_ip(const struct control_listener *l) {
        return l->address_size && l->address.ss_family != AF_UNIX;
}

static bool is_same(const struct control_listener *a, const struct control_listener *b) {
        return a->address_size == b->address_size && !memcmp(&a->address, &b->address, sizeof(a->address)) &&
               (a->address_size ? (a->text[0] == '*') == (b->text[0] == '*') : !strcmp(a->text, b->text));
}

bool config_check_collide(const struct control_listener *a, const struct control_listener *b) {
        if (!is_ip(a) || !is_ip(b))
                return a->address_size && is_same(a, b);
        if (port_of(a) != port_of(b))
                return false;
        /* "*" is both families. */
        if (a->address.ss_family != b->address.ss_family && a->text[0] != '*' && b->text[0] != '*')
                return false;
        return is_any(a) || is_any(b) || !memcmp(&a->address, &b->address, sizeof(a->address));
}

static const struct control_listener *ours_there(const struct control_boot_config *now, const struct control_listener *l) {
        for (uint32_t i = 0; i < now->n_listeners; i++)
                if (is_same(&now->listeners[i], l) || config_check_collide(&now->listeners[i], l))
                        return &now->listeners[i];
        return NULL;
}

static bool addresses_ok(const struct control_boot_config *now, const struct control_boot_config *next, struct control_text *ret_why) {
        for (uint32_t i = 0; i < next->n_listeners; i++) {
                const struct control_listener *l = &next->listeners[i], *ours = ours_there(now, l);
                int r = 0;

                for (uint32_t k = 0; k < i; k++)
                        if (config_check_collide(l, &next->listeners[k]))
                                r = -EADDRINUSE;
                if (!r && (!ours || (l->address.ss_family == AF_UNIX && ours->gid != l->gid)))
                        r = listener_probe(next, i, ours);
                if (r) {
                        listener_failed_text(next, i, r, ret_why);
                        return false;
                }
        }
        return true;
}

void config_check_on_request(struct base *base, uint64_t request) {
        static struct control_boot_config next;
        struct control_text why = { 0 };

        if (!boot_read(&base->folders, base->root, base->start_ns, &next, &why) && addresses_ok(&base->config, &next, &why))
                why = (struct control_text){ 0 };
        link_send(base, &base->roles[ROLE_MANAGER].link, CONTROL_KIND_CONFIG_CHECKED, request, &why, sizeof(why), NULL, 0);
}
