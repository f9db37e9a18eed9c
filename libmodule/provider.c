/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call finds its instance.
 *
 * Choosing, reserving and committing is one step without a wait in it: of the
 * instances with an open edge the one with the fewest calls of ours in flight is
 * chosen (of equals the one that sleeps on our core, ipc/load.c), and the call is
 * in its ring before anything else happens. Whatever
 * cannot be placed at once waits in its provider's queue, and after any wait is
 * chosen for again:
 *
 *   no edge is open yet        the manager is asked, the answer pumps the queue
 *   all instances are full     a reply pumps the queue, and time
 *   none is ACTIVE, but one is expected (starting, restarting)
 *                              a change of the directory pumps the queue
 *   nothing is to be expected  UNAVAILABLE at once
 *
 * The queue needs no bound of its own: each call in it holds a coroutine, and of
 * those there are no more than requests in flight. As long as anybody waits, the
 * manager is asked to tell of changes; its wish is not lost with the manager, for
 * the next one sends another directory.
 *
 * The gateway does the same for HTTP requests (supervisor/gateway/upstream.c).
 */
#include "libmodule/provider.h"

#include <sched.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "libmodule/method-ref.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

#define ASK_AGAIN_NS (10 * NS_PER_S)
#define RETRY_NS (10 * NS_PER_MS)

/* Choosing ----------------------------------------------------------------------------------------------------------- */

/* Who runs beside the chosen version is there for those that name it. */
static bool may_take(const struct target *t, const char *version) {
        return version ? !strcmp(version, t->version) : !t->beside;
}

static struct target *choose(const struct provider *p, const char *version) {
        int here = the_worker.bus.prefer_near && p->n_active > 1 ? sched_getcpu() : -1;
        struct load_choice choice = { 0 };
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (!target_usable(t) || !may_take(t, version))
                        continue;
                load_consider(&choice, t, &t->load, here >= 0 && edge_peer_cpu(t->edge) == here);
        }
        return load_choose(&choice);
}

bool provider_has_other(const struct provider *p, const struct target *other, const char *version) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t != other && target_usable(t) && may_take(t, version))
                        return true;
        }
        return false;
}

/* Is it sensible to wait? */
static bool expected(const struct provider *p) {
        return p->present && (p->n_active || p->module.up);
}

static bool has_version(const struct provider *p, const char *version) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->active && !strcmp(t->version, version))
                        return true;
        }
        return false;
}

static uint32_t count_asked(struct provider *p, uint64_t now) {
        struct target *t;
        uint32_t n = 0;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->state == TARGET_ASKED && now > t->asked_ns + ASK_AGAIN_NS)
                        target_forget_ask(t);
                n += t->state == TARGET_ASKED;
        }
        return n;
}

/* Who runs beside is asked only for those that name it. */
static bool is_waited_for(const struct provider *p, const struct target *t) {
        const struct call *call;

        if (!t->beside)
                return true;
        TAILQ_FOREACH(call, &p->waiting, entry) {
                if (may_take(t, call->version))
                        return true;
        }
        return false;
}

/* Asks for edges: as many as calls wait, and one more, for somebody may not answer. When somebody cannot be asked just now, or is
 * full, a deadline looks again. */
static void want_edges(struct provider *p) {
        uint64_t now = clock_now_ns(), again = UINT64_MAX;
        uint32_t n_asked = count_asked(p, now);
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (n_asked <= p->n_waiting && target_askable(t, now) && is_waited_for(p, t)) {
                        target_ask(t, now);
                        n_asked += t->state == TARGET_ASKED;
                }
                if (t->state == TARGET_COLD && t->active && t->retry_ns > now)
                        again = MIN(again, now + RETRY_NS);
                if (t->full_ns > now)
                        again = MIN(again, t->full_ns);
        }
        if (again != UINT64_MAX)
                deadline_set(wait_deadlines(), &p->retry, again);
}

int provider_error(const struct provider *p) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->state == TARGET_OPEN && t->active)
                        return ERROR_OVERLOADED;
        }
        return ERROR_UNAVAILABLE;
}

/* The queue ---------------------------------------------------------------------------------------------------------- */

/* NULL: behind all. */
static void waiting_add(struct call *call, struct call *before) {
        struct provider *p = call->provider;

        call->state = CALL_WAITING;
        call->target = NULL;
        if (before)
                TAILQ_INSERT_BEFORE(before, call, entry);
        else
                TAILQ_INSERT_TAIL(&p->waiting, call, entry);
        p->n_waiting++;
}

void provider_forget(struct call *call) {
        TAILQ_REMOVE(&call->provider->waiting, call, entry);
        call->provider->n_waiting--;
}

/* To the head, but behind what came back before it and is more pressing: else they would change their order each time. */
void provider_take_back(struct call *call) {
        struct call *before = TAILQ_FIRST(&call->provider->waiting);

        while (before && before->frame.deadline < call->frame.deadline)
                before = TAILQ_NEXT(before, entry);
        waiting_add(call, before);
}

/* The manager gives no edge to any of them. */
static bool denied(const struct provider *p) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->refused == ERROR_DENIED && t->refused_version == the_worker.bus.version)
                        return true;
        }
        return false;
}

/* [limits] edges keeps all who may take it from being reached: an enum edge_limit. Else somebody can be, or may be when he is asked. */
static uint32_t limited(const struct provider *p, const char *version) {
        uint32_t limit = EDGE_LIMIT_NONE;
        uint64_t now = clock_now_ns();
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (!t->active || !may_take(t, version))
                        continue;
                if (t->state != TARGET_COLD || !t->limit || t->retry_ns <= now)
                        return EDGE_LIMIT_NONE;
                limit = t->limit;
        }
        return limit;
}

static bool give_up(struct call *call) {
        struct provider *p = call->provider;
        bool named = call->version && has_version(p, call->version);
        uint32_t limit = limited(p, call->version);

        if (denied(p))
                call_abandon(call, ERROR_DENIED, "the manager gives no edge to %s: [calls] allow does not list it", p->module.name);
        else if (!p->present)
                call_abandon(call, ERROR_NO_SERVICE, "the module %s is gone", p->module.name);
        else if (!named && !expected(p))
                call_abandon(call, ERROR_UNAVAILABLE, "no instance of %s is ready and none is expected", p->module.name);
        else if (call->version && !named && p->n_active)
                call_abandon(call, ERROR_UNAVAILABLE, "no instance of %s has version %s", p->module.name, call->version);
        else if (limit)
                call_abandon(call, ERROR_UNAVAILABLE, "module.ini [limits] edges of %s does not allow one more connection",
                             limit == EDGE_LIMIT_CALLER ? the_worker.start.settings->name : p->module.name);
        else
                return false;
        return true;
}

void provider_pump(struct provider *p) {
        struct call *call, *next;

        for (call = TAILQ_FIRST(&p->waiting); call; call = next) {
                struct target *t = choose(p, call->version);

                next = TAILQ_NEXT(call, entry);
                if (!t) {
                        give_up(call);
                        continue;
                }
                provider_forget(call);
                if (!target_send(t, call)) {
                        /* What it had has come back into the queue. */
                        waiting_add(call, TAILQ_FIRST(&p->waiting));
                        next = TAILQ_FIRST(&p->waiting);
                }
        }
        if (!p->n_waiting)
                return;
        want_edges(p);
        bus_watch(&the_worker.bus);
}

void provider_submit(struct call *call) {
        struct provider *p;
        struct target *t;
        int error;

        error = method_resolve(call->method, &call->ref);
        if (error) {
                call->state = CALL_NEW;
                call_fail(call, error, "%s", error_info(error)->meaning);
                return;
        }
        p = call->provider = call->ref->provider;
        call->idempotent |= call->ref->idempotent;
        t = p->n_waiting ? NULL : choose(p, call->version);
        if (t && target_send(t, call)) {
                if (t->load.in_flight > 1)
                        want_edges(p);
                return;
        }
        waiting_add(call, NULL);
        provider_pump(p);
}

void provider_tell_asked(struct provider *p) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->state == TARGET_ASKED)
                        target_timed_out(t);
        }
}
