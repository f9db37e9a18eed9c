/* SPDX-License-Identifier: Apache-2.0
 *
 * Quiescence: an instance that is to go is told so when nobody chooses it any more.
 *
 * A caller (each gateway process, each worker that calls) writes on its page, once
 * per turn of its loop, the stamp of the directory by which it chooses in this
 * turn, and looks afterwards whether there is a newer one; before it sleeps it
 * writes that it does. The manager publishes and then looks at the pages:
 *
 *      caller                            manager
 *      page = stamp of its copy          directory = a new generation
 *      full fence                        full fence
 *      is there a newer generation?      what stands on the page?
 *
 * One of the two sees the other's store. So whoever shows the new stamp, or that he
 * sleeps, chooses by the new directory from now on; whoever shows an old one may
 * be between choosing and sending, and is waited for. Only who has an edge to the
 * instance can send to it, and new edges are refused (MOVED) from the beginning,
 * so nobody else is looked at. Who sleeps is not woken: he reads the directory
 * before he chooses.
 *
 * Looking is the manager's alone: at once, which is mostly enough, then after 1,
 * 2, 4 ... 32 ms, and only as long as something leaves.
 *
 * Nothing depends on it that must be right. A request that arrives after the drain
 * is answered NOT_STARTED and chosen for again; all that was waited for is that this
 * is rare. So nobody is waited for longer than WAIT_MS (or drain-timeout, when that
 * is shorter): a turn takes microseconds, so who has not come round in a quarter of
 * a second hangs, computes or was stopped, and what he saves by more of our time is
 * one round trip of his own requests, if he has any. What we would spend is the time
 * of who waits for the deployment. He is named in the operation's report.
 *
 * A caller that lies about its stamp has its own requests refused more often, or
 * costs WAIT_MS; it is named for that, too.
 */
#include "supervisor/manager/quiescence.h"

#include <stdio.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/shared.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/instance-internal.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/publish.h"

#define WAIT_MS 250u
#define LOOK_MS 1u
#define LOOK_MS_MAX 32u

/* What is asked of each caller that can reach it. */
struct look {
        const struct instance *leaves;
        struct operation *report; /* NULL: nobody reports, or it is not the time for it */
        uint64_t waited_ms;
        bool give_up; /* those that are waited for are named */
        uint32_t n_waited_for;
};

static void on_waited_for(struct look *l, const char *who, uint64_t instance) {
        const struct candidate *c = l->leaves->candidate;

        l->n_waited_for++;
        if (!l->give_up)
                return;
        log_warning("%s %s: worker %d is drained without waiting any longer for %s (#%llu), which has not turned its loop for %llu ms",
                    c->module->name, c->manifest.version, l->leaves->pid, who, (unsigned long long)instance,
                    (unsigned long long)l->waited_ms);
        operation_waited_for(l->report, who, instance, l->waited_ms);
}

/* A page that is not known yet says nothing. */
static bool is_quiet(const struct look *l, const struct page_reader *page) {
        struct page_vitals v = { 0 };

        if (page)
                page_read(page, &v);
        return v.generation >= l->leaves->quiescence.stamp; /* asleep is the highest of all */
}

static void look_at_gateway(struct look *l, const struct gateway *g) {
        char name[GATEWAY_NAME_SIZE];

        if (edges_reach(g, l->leaves) && !is_quiet(l, g->page))
                on_waited_for(l, gateway_name(g, name), g->id);
}

static void look_at_worker(struct look *l, const struct instance *caller) {
        char who[CONTROL_NAME_SIZE + 72];

        if (caller->state == INSTANCE_KILLED || is_quiet(l, caller->page))
                return;
        snprintf(who, sizeof(who), "%s %s", caller->candidate->module->name, caller->candidate->manifest.version);
        on_waited_for(l, who, caller->id);
}

/* Two that a former manager has left may have one of which nothing is known here. */
static bool may_have_edge(const struct instance *caller, const struct instance *target) {
        const struct made_edge *e;

        TAILQ_FOREACH(e, &target->edges_in, in_target) {
                if (e->caller == caller)
                        return true;
        }
        return caller->adopted && target->adopted && caller->sweep.open && edges_may_call(caller, target);
}

static void look_at_module(struct look *l, const struct module *mod) {
        const struct candidate *c;
        const struct instance *i;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                TAILQ_FOREACH(i, &c->instances, entry) {
                        if (may_have_edge(i, l->leaves))
                                look_at_worker(l, i);
                }
        }
}

static void look_at_all(struct look *l) {
        const struct manager *m = instance_manager(l->leaves);
        const struct module *mod;
        const struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry)
        look_at_gateway(l, g);
        TAILQ_FOREACH(mod, &m->modules, entry)
        look_at_module(l, mod);
}

static bool is_shown_active(const struct instance *i) {
        const struct directory_table *t = &instance_manager(i)->table;

        for (uint32_t n = 0; n < t->n_instances; n++) {
                if (t->instances[n].id == i->id)
                        return t->instances[n].state == DIRECTORY_ACTIVE && (t->instances[n].weight || i->state == INSTANCE_LEAVING);
        }
        return false;
}

static void quiescence_end(struct instance *i) {
        if (i->state == INSTANCE_LEAVING) {
                instance_drain(i);
        } else if (i->settles) {
                i->settles = false;
                lifecycle_on_progress(i->candidate->module);
        }
}

static void look(struct instance *i, uint64_t now) {
        uint64_t waited = (MAX(now, i->quiescence.since_ns) - i->quiescence.since_ns) / NS_PER_MS;
        uint64_t most = MIN(i->candidate->manifest.drain_timeout_ms, (uint64_t)WAIT_MS);
        struct look l = { .leaves = i, .waited_ms = waited, .give_up = waited >= most };

        if (l.give_up && i->quiescence.operation)
                l.report = operation_find(&instance_manager(i)->operations, i->quiescence.operation);
        shared_fence();
        look_at_all(&l);
        if (!l.n_waited_for || l.give_up) {
                quiescence_end(i);
                return;
        }
        i->settles = i->state == INSTANCE_READY;
        instance_arm(i, MIN((uint64_t)i->quiescence.look_ms, most - waited));
        i->quiescence.look_ms = MIN(i->quiescence.look_ms * 2, LOOK_MS_MAX);
}

void quiescence_look(struct instance *i) {
        look(i, clock_now_ns());
}

static uint64_t operation_of(const struct module *mod) {
        const struct operation *op = mod->undeploy;

        if (!op && mod->active)
                op = mod->active->operation;
        return op ? op->id : 0;
}

void quiescence_begin(struct instance *i) {
        struct manager *m = instance_manager(i);
        uint64_t now = clock_now_ns();

        if (is_shown_active(i))
                publish(m);
        i->quiescence = (struct quiescence){ .stamp = directory_stamp(m->hello.epoch, m->generation),
                                             .since_ns = now,
                                             .look_ms = LOOK_MS,
                                             .operation = operation_of(i->candidate->module) };
        look(i, now);
}
