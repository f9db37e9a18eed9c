/* SPDX-License-Identifier: Apache-2.0
 *
 * A place is a number: of the listening sockets, of the name in status. It has two
 * slots in the table of roles, and which of them serves changes here: a former one
 * that ends its connections keeps nobody from being renewed in another place, and
 * nobody but the next one of its own.
 */
#include "supervisor/base/renew.h"

#include <errno.h>

#include "ipc/clock.h"
#include "supervisor/base/base.h"
#include "supervisor/base/boot.h"
#include "supervisor/common/log.h"

#define COMING_NS (20 * NS_PER_S)

static struct role *slot_of(struct base *base, uint32_t index, bool second) {
        return &base->roles[ROLE_GATEWAY + index + (second ? base->config.n_gateways : 0)];
}

static struct renewal *renewal_of(struct base *base, const struct role *gateway) {
        return &base->renewals[gateway->index];
}

static void answer(struct base *base, uint64_t request, const struct control_renew *body) {
        link_send(base, &base->roles[ROLE_MANAGER].link, CONTROL_KIND_RENEWED, request, body, sizeof(*body), NULL, 0);
}

static void tell_taken(struct base *base, const struct renewal *n) {
        answer(base, n->request, &(struct control_renew){ .index = n->next->index, .former = n->former_pid, .pid = n->next->pid });
}

static void renew_end(struct base *base, struct renewal *n, int error) {
        answer(base, n->request,
               &(struct control_renew){ .index = n->next->index, .former = n->former_pid, .ended = true, .error = error });
        *n = (struct renewal){ 0 };
}

/* Only what gateways are born with: the rest has made what is there. */
static int read_anew(struct base *base) {
        static struct control_boot_config config;
        struct control_text why;
        int r = boot_read(&base->folders, base->root, base->start_ns, &config, &why);

        if (r)
                log_error("%s", why.text);
        else
                base->config.gateway = config.gateway;
        return r == BOOT_E_CONFIG ? -EINVAL : r;
}

/* The place's two slots, by who serves in one and nobody in the other. 0 or -errno. */
static int find_slots(struct base *base, uint32_t index, struct role **ret_former, struct role **ret_next) {
        struct role *a = slot_of(base, index, false), *b = slot_of(base, index, true);
        struct role *former = a->pid && !a->coming ? a : b, *next = former == a ? b : a;

        /* One that is dead is started anew anyway. */
        if (!former->pid || former->coming)
                return -EAGAIN;
        if (next->pid || next->respawn_ns != UINT64_MAX)
                return -EBUSY;
        *ret_former = former;
        *ret_next = next;
        return 0;
}

static int renew_begin(struct base *base, uint64_t request, uint32_t index, bool anew) {
        struct role *former, *next;
        int r;

        if (base->stage != STAGE_RUN)
                return -ESHUTDOWN;
        if (index >= base->config.n_gateways)
                return -ENOENT;
        if (base->renewals[index].next)
                return -EBUSY;
        r = anew ? read_anew(base) : 0;
        if (!r)
                r = find_slots(base, index, &former, &next);
        if (r)
                return r;
        next->n_restarts = former->n_restarts;
        next->n_quick = 0;
        next->coming = true;
        r = role_try(base, next);
        if (r) {
                next->coming = next->pid; /* until it is dead: nobody is started anew in its slot */
                role_kill(base, next, NULL);
                return r;
        }
        base->renewals[index] = (struct renewal){
                .next = next, .former = former, .former_pid = former->pid, .request = request, .until_ns = clock_now_ns() + COMING_NS
        };
        return 0;
}

void renew_on_request(struct base *base, const struct control_record *record) {
        uint32_t index = record->RENEW.index;
        int r = renew_begin(base, record->header.request, index, record->RENEW.anew);

        if (r)
                answer(base, record->header.request, &(struct control_renew){ .index = index, .ended = true, .error = r });
}

/* From here on the place is the next one's. */
void renew_on_ready(struct base *base, struct role *gateway) {
        struct renewal *n = renewal_of(base, gateway);

        if (gateway != n->next || !gateway->coming)
                return;
        gateway->coming = false;
        role_tell(base, gateway);
        tell_taken(base, n);
        if (!n->former->pid) {
                renew_end(base, n, 0);
                return;
        }
        log_info("%s (pid %d) takes over from pid %d", gateway->name, gateway->pid, n->former_pid);
        n->former->leaving = true;
        n->until_ns = clock_now_ns() + base->config.gateway.drain_ms * NS_PER_MS;
        LINK_SEND(base, &n->former->link, SHUTDOWN, 0, NULL, 0, .reserved = 0);
}

void renew_on_death(struct base *base, struct role *gateway) {
        struct renewal *n = renewal_of(base, gateway);
        bool was_coming = gateway->coming;

        gateway->coming = gateway->leaving = false;
        if (was_coming)
                gateway->respawn_ns = UINT64_MAX;
        if (gateway == n->next && was_coming) {
                /* Died both: somebody must be started anew. */
                if (!n->former->pid)
                        n->former->respawn_ns = clock_now_ns();
                renew_end(base, n, -ECHILD);
        } else if (gateway == n->former) {
                /* Whoever dies early waits in its slot for what becomes of the next. */
                gateway->respawn_ns = UINT64_MAX;
                if (!n->next->coming)
                        renew_end(base, n, 0);
        }
}

static uint64_t place_tick(struct base *base, struct renewal *n) {
        if (!n->next)
                return UINT64_MAX;
        if (clock_now_ns() >= n->until_ns) {
                n->until_ns = UINT64_MAX;
                if (n->next->coming)
                        role_kill(base, n->next, "does not accept connections");
                else
                        role_kill(base, n->former, "has not ended its connections in [gateway] drain-timeout after another took its place");
        }
        return n->until_ns;
}

uint64_t renew_tick(struct base *base) {
        uint64_t next = UINT64_MAX;

        for (uint32_t i = 0; base->stage == STAGE_RUN && i < base->config.n_gateways; i++)
                next = earliest(next, place_tick(base, &base->renewals[i]));
        return next;
}
