/* SPDX-License-Identifier: Apache-2.0
 *
 * An edge is between its two ends, so only they can tell that it was broken, and
 * whoever tells may be the liar. So a report is shown as what it is, one end's
 * word about the other, and has no other consequence; of two who could not have
 * an edge it is not even shown. What came over a control link was seen by the
 * manager itself.
 *
 * Nobody fills the events with this: of each instance so many are told as
 * accused, and so many as who accuses; what is more is counted, and told with the
 * next one.
 */
#include "supervisor/manager/violations.h"

#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/topics.h"

#define TOLD_EVERY_NS (10 * NS_PER_S)
#define TOLD_AT_ONCE 8     /* of one */
#define ACCUSED_AT_ONCE 32 /* by one */
#define LEVEL_WARNING 4    /* as syslog's */

/* One of two ends: an instance, a gateway, or somebody who is gone. */
struct end {
        struct manager *manager;
        struct instance *instance;
        struct gateway *gateway;
        uint64_t id;
};

static struct violations *violations_of(const struct end *e) {
        return e->instance ? &e->instance->violations : e->gateway ? &e->gateway->violations : NULL;
}

static struct end end_find(struct manager *m, uint64_t id) {
        struct end e = { .manager = m, .instance = instance_find(m, id), .id = id };

        TAILQ_FOREACH(e.gateway, &m->gateways, entry) {
                if (e.gateway->id == id)
                        break;
        }
        return e;
}

/* "kv #12", "gateway-2" */
static void end_name(const struct end *e, char *text, size_t size) {
        char gateway[GATEWAY_NAME_SIZE];

        if (e->instance)
                snprintf(text, size, "%s #%llu", e->instance->candidate->module->name, (unsigned long long)e->id);
        else if (e->gateway)
                snprintf(text, size, "%s", gateway_name(e->gateway, gateway));
        else
                snprintf(text, size, "#%llu", (unsigned long long)e->id);
}

/* So many at once, and one every while. */
static bool may_tell_now(uint64_t *full_ns, uint64_t at_once) {
        uint64_t now = clock_now_ns(), full = MAX(*full_ns, now) + TOLD_EVERY_NS;

        if (full - now > TOLD_EVERY_NS * at_once)
                return false;
        *full_ns = full;
        return true;
}

/* Telling ------------------------------------------------------------------------------------------------------------ */

static void tell(const struct end *who, const char *by, enum violation reason, const char *text) {
        const struct instance *i = who->instance;
        char gateway[GATEWAY_NAME_SIZE];
        const char *role = who->gateway ? gateway_name(who->gateway, gateway) : NULL;

        events_note(&(struct event_note){ .kind = EVENT_violation,
                                          .module = i ? i->candidate->module->name : NULL,
                                          .version = i ? i->candidate->manifest.version : NULL,
                                          .role = role,
                                          .instance = who->id,
                                          .actor = by,
                                          .code = violation_name(reason),
                                          .reason = text });
        if (!i) {
                log_warning("%s #%llu: %s", role ? role : "a worker that is gone", (unsigned long long)who->id, text);
                return;
        }
        log_warning("%s %s: worker %d: %s", i->candidate->module->name, i->candidate->manifest.version, i->pid, text);
        module_log_say(who->instance, LEVEL_WARNING, "%s", text);
}

/* Counts it; false: there were too many to tell this one. `text` is completed by what was not told before. */
static bool note(struct violations *v, enum violation reason, bool may_tell, char *text, size_t size) {
        size_t n = strlen(text);

        v->n++;
        v->last = reason;
        if (!may_tell || !may_tell_now(&v->told_ns, TOLD_AT_ONCE)) {
                v->n_untold++;
                return false;
        }
        if (v->n_untold)
                snprintf(text + n, size - n, " (and %llu times more that were not told)", (unsigned long long)v->n_untold);
        v->n_untold = 0;
        return true;
}

/* Edges -------------------------------------------------------------------------------------------------------------- */

/* Could the two have an edge, or a topic? Everybody has one with a gateway; who is gone is nobody to be spared. */
static bool could_have_edge(const struct end *a, const struct end *b) {
        if (!a->instance || !b->instance)
                return !a->gateway || !b->gateway;
        return edges_may_call(a->instance, b->instance) || edges_may_call(b->instance, a->instance) ||
               topics_may_join(a->instance, b->instance);
}

static void report(const struct end *by, uint64_t peer, unsigned reason) {
        struct end who = end_find(by->manager, peer);
        struct violations *accuser = violations_of(by), *accused = violations_of(&who);
        char name[CONTROL_NAME_SIZE + 32], text[512];
        bool may_tell;

        if (!violation_is_peers(reason) || !could_have_edge(by, &who))
                return;
        accuser->n_noticed++;
        may_tell = (by->gateway && accused) || may_tell_now(&accuser->noticed_ns, ACCUSED_AT_ONCE);
        end_name(by, name, sizeof(name));
        snprintf(text, sizeof(text), "its end of the edge to %s broke the bus protocol, as reported by that: %s", name,
                 violation_text(reason));
        if (accused ? note(accused, (enum violation)reason, may_tell, text, sizeof(text)) : may_tell)
                tell(&who, name, (enum violation)reason, text);
}

void violations_by_instance(struct instance *by, uint64_t peer, unsigned reason) {
        report(&(struct end){ .manager = by->candidate->module->manager, .instance = by, .id = by->id }, peer, reason);
}

void violations_by_gateway(struct gateway *by, uint64_t peer, unsigned reason) {
        report(&(struct end){ .manager = by->manager, .gateway = by, .id = by->id }, peer, reason);
}

/* Control links ------------------------------------------------------------------------------------------------------ */

void violation_of_asking(struct instance *instance, enum violation reason) {
        struct end who = { .instance = instance, .id = instance->id };
        char text[512];

        snprintf(text, sizeof(text), "on its control link: %s", violation_text(reason));
        if (note(&instance->violations, reason, true, text, sizeof(text)))
                tell(&who, "manager", reason, text);
}

void violation_of_link(struct instance *instance, enum violation reason) {
        char text[sizeof(instance->reason)];

        violation_of_asking(instance, reason);
        snprintf(text, sizeof(text), "it broke the protocol of its control link: %s", violation_text(reason));
        instance_kill(instance, text);
}

json_t *violations_json(const struct violations *v) {
        return json_pack("{s:I, s:s*, s:I}", "n", (json_int_t)v->n, "last", v->n ? violation_name(v->last) : NULL, "noticed",
                         (json_int_t)v->n_noticed);
}
