/* SPDX-License-Identifier: Apache-2.0
 *
 * A place is a number: of the listening sockets, of the name in status. Which of
 * the slots in the table of roles has it changes here, so that no slot moves.
 */
#include "supervisor/base/renew.h"

#include <errno.h>

#include "ipc/clock.h"
#include "supervisor/base/base.h"
#include "supervisor/base/boot.h"
#include "supervisor/common/log.h"

#define COMING_NS (20 * NS_PER_S)
#define LEAVING_NS (60 * NS_PER_S)

void renew_init(struct base *base) {
        struct role *first = &base->roles[ROLE_GATEWAY], *vacant = &base->roles[base->n_roles++];

        *vacant = (struct role){ .kind = first->kind, .uid = first->uid, .pidfd = WATCH_INIT, .manager_end = -1, .cgroup = -1 };
        link_init(&vacant->link);
        vacant->respawn_ns = UINT64_MAX;
}

static struct role *find_vacant(struct base *base) {
        for (struct role *role = &base->roles[ROLE_GATEWAY]; role < &base->roles[base->n_roles]; role++)
                if (!role->pid && role->respawn_ns == UINT64_MAX)
                        return role;
        return NULL;
}

static struct role *find_serving(struct base *base, uint32_t index) {
        for (struct role *role = &base->roles[ROLE_GATEWAY]; role < &base->roles[base->n_roles]; role++)
                if (role->index == index && role->pid)
                        return role;
        return NULL;
}

static void answer(struct base *base, uint64_t request, uint32_t index, int error, int former, int pid) {
        LINK_SEND(base, &base->roles[ROLE_MANAGER].link, RENEWED, request, NULL, 0, .index = index, .error = error, .former = former,
                  .pid = pid);
}

static void renew_end(struct base *base, int error) {
        struct renewal *n = &base->renewal;

        answer(base, n->request, n->next->index, error, n->former_pid, error ? 0 : n->next->pid);
        *n = (struct renewal){ 0 };
}

/* Only what gateways are born with: the rest has made what is there. */
static int read_anew(struct base *base) {
        static struct control_boot_config config;
        int r = boot_read(&base->folders, base->root, base->start_ns, &config);

        if (!r)
                base->config.gateway = config.gateway;
        return r == BOOT_E_CONFIG ? -EINVAL : r;
}

static int renew_begin(struct base *base, uint32_t index, bool anew) {
        struct renewal *n = &base->renewal;
        struct role *former, *next;
        int r;

        if (n->next)
                return -EBUSY;
        if (base->stage != STAGE_RUN)
                return -ESHUTDOWN;
        r = anew ? read_anew(base) : 0;
        if (r)
                return r;
        /* One that is dead is started anew anyway. */
        former = find_serving(base, index);
        if (!former)
                return -EAGAIN;
        next = find_vacant(base);
        if (!next)
                return -EBUSY;
        role_take_place(next, index);
        next->n_restarts = former->n_restarts;
        next->n_quick = 0;
        next->coming = true;
        r = role_try(base, next);
        if (r) {
                next->coming = next->pid; /* until it is dead: nobody is started anew in its slot */
                role_kill(base, next, NULL);
                return r;
        }
        *n = (struct renewal){ .next = next, .former = former, .former_pid = former->pid, .until_ns = clock_now_ns() + COMING_NS };
        return 0;
}

void renew_on_request(struct base *base, const struct control_record *record) {
        uint32_t index = record->RENEW.index;
        int r = renew_begin(base, index, record->RENEW.anew);

        if (!r)
                base->renewal.request = record->header.request;
        else
                answer(base, record->header.request, index, r, 0, 0);
}

/* From here on the place is the next one's. */
void renew_on_ready(struct base *base, struct role *gateway) {
        struct renewal *n = &base->renewal;

        if (gateway != n->next || !gateway->coming)
                return;
        gateway->coming = false;
        role_tell(base, gateway);
        if (!n->former->pid) {
                renew_end(base, 0);
                return;
        }
        log_info("%s (pid %d) takes over from pid %d", gateway->name, gateway->pid, n->former_pid);
        n->former->leaving = true;
        n->until_ns = clock_now_ns() + LEAVING_NS;
        LINK_SEND(base, &n->former->link, SHUTDOWN, 0, NULL, 0, .reserved = 0);
}

void renew_on_death(struct base *base, struct role *gateway) {
        struct renewal *n = &base->renewal;
        bool was_coming = gateway->coming;

        gateway->coming = gateway->leaving = false;
        if (was_coming)
                gateway->respawn_ns = UINT64_MAX;
        if (gateway == n->next && was_coming) {
                /* Died both: somebody must be started anew. */
                if (!n->former->pid)
                        n->former->respawn_ns = clock_now_ns();
                renew_end(base, -ECHILD);
        } else if (gateway == n->former) {
                /* Whoever dies early waits in its slot for what becomes of the next. */
                gateway->respawn_ns = UINT64_MAX;
                if (!n->next->coming)
                        renew_end(base, 0);
        }
}

uint64_t renew_tick(struct base *base) {
        struct renewal *n = &base->renewal;

        if (!n->next || base->stage != STAGE_RUN)
                return UINT64_MAX;
        if (clock_now_ns() >= n->until_ns) {
                n->until_ns = UINT64_MAX;
                if (n->next->coming)
                        role_kill(base, n->next, "does not accept connections");
                else
                        role_kill(base, n->former, "has not ended its connections in 60 s after another took its place");
        }
        return n->until_ns;
}
