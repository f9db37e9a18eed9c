/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles may sleep for days, and a ping would wake them for nothing: every 5 s
 * those are asked that ran since the last look, and a look after a ping first
 * takes a new base line, because the answer itself made them run. Who was stopped
 * while he slept does not run: so everybody is asked every 5 minutes. Who says nothing for 10 s is killed; it costs no
 * module. A base that was away itself (stopped, starved) has answers that it has
 * not read yet: everybody's time begins anew.
 */
#include "supervisor/base/watchdog.h"

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/base/backoff.h"
#include "supervisor/base/base.h"
#include "supervisor/base/sd-daemon.h"

#define LOOK_NS (5 * NS_PER_S)
#define SELDOM_NS (300 * NS_PER_S)
#define SILENCE_NS (10 * NS_PER_S)
#define LATE_NS NS_PER_S
#define QUICK_DEATHS_MAX 10

void watchdog_init(struct base *base) {
        base->next_look_ns = base->start_ns + LOOK_NS;
        base->feed_interval_ns = sd_watchdog_interval_ns();
        base->next_feed_ns = base->feed_interval_ns ? base->start_ns : UINT64_MAX;
}

static bool has_run(struct role *role) {
        uint64_t used = clock_cpu_ns(role->pid);
        bool ran = used != role->cpu_ns && !role->cpu_stale;

        role->cpu_ns = used;
        role->cpu_stale = ran;
        return ran;
}

static void look(struct base *base, struct role *role, uint64_t now) {
        bool is_template = role == &base->roles[ROLE_TEMPLATE];

        /* A template loads libraries before it is ready, for as long as it takes. */
        if (!role->pid || role->link.watch.fd < 0 || (is_template && !role->ready))
                return;
        if (role->pinged_ns) {
                if (now - role->pinged_ns >= SILENCE_NS)
                        role_kill(base, role, "has not answered for 10 s");
                return;
        }
        if (!has_run(role) && now - MAX(role->asked_ns, role->started_ns) < SELDOM_NS)
                return;
        role->pinged_ns = role->asked_ns = now;
        LINK_SEND(base, &role->link, PING, 0, NULL, 0, .reserved = 0);
}

static void look_all(struct base *base, uint64_t now) {
        bool late = now - base->next_look_ns > LATE_NS;

        for (uint32_t i = 0; i < base->n_roles; i++) {
                if (late && base->roles[i].pinged_ns)
                        base->roles[i].pinged_ns = now;
                look(base, &base->roles[i], now);
        }
}

/* The count of quick deaths is set back by the next death only; who has lived long enough since is well. */
static bool keeps_dying(const struct role *role, uint64_t now) {
        bool lives = role->pid && now - role->started_ns >= BACKOFF_STABLE_MS * NS_PER_MS;

        return role->n_quick > QUICK_DEATHS_MAX && !lives;
}

static void feed(const struct base *base, uint64_t now) {
        for (uint32_t i = 0; i < base->n_roles; i++)
                if (keeps_dying(&base->roles[i], now))
                        return;
        sd_notify_send("WATCHDOG=1");
}

uint64_t watchdog_tick(struct base *base) {
        uint64_t now = clock_now_ns();

        if (now >= base->next_look_ns) {
                look_all(base, now);
                base->next_look_ns = now + LOOK_NS;
        }
        if (now >= base->next_feed_ns) {
                feed(base, now);
                base->next_feed_ns = now + base->feed_interval_ns;
        }
        return earliest(base->next_look_ns, base->next_feed_ns);
}
