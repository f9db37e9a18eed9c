/* SPDX-License-Identifier: Apache-2.0
 *
 * How a request finds its instance.
 *
 * Choosing, reserving and committing is one step without a wait in it: the
 * instance with an open edge that has the fewest requests in flight is chosen
 * (of equals the one that sleeps on our core, ipc/load.c), and the request is in
 * its ring before anything else happens. Whatever cannot be
 * placed at once waits in its module's queue, and after any wait is chosen for
 * again:
 *
 *   no edge is open yet        the manager is asked, the answer pumps the queue
 *   all instances are full     a reply pumps the queue, and time
 *   none is ACTIVE, but one is expected (starting, restarting)
 *                              a change of the directory pumps the queue
 *   nothing is to be expected  503 at once
 *
 * Requests come back into the queue, to its head, when their worker died, moved or
 * drained before it had begun them; that may happen any number of times, for the
 * deadline runs on. One that was begun is sent a second time, and not a third, if
 * its method may be done twice (request_may_repeat()).
 *
 * The queue is bounded, and each request in it has a deadline. As long as anybody
 * waits, the manager is asked to tell of changes, and the directory is looked at
 * every 50 ms besides: a manager that dies with our wish unread delays nobody.
 */
#include "supervisor/gateway/upstream.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/problem.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"

#define WAITING_MAX 1024u
#define ASK_AGAIN_NS (10 * NS_PER_S)

#define REQUEST_OF(deadline_) ((struct request *)((char *)(deadline_)-offsetof(struct request, deadline)))

const char *upstream_name(const struct upstream *u) {
        return u->module.name;
}

/* Choosing ---------------------------------------------------------------------------------------------------------------- */

/* Who runs beside the chosen version is there for those that name it. */
static bool may_take(const struct instance *i, const char *version) {
        return version ? !strcmp(version, i->version) : !i->beside;
}

static struct instance *choose(const struct upstream *u, const char *version) {
        int here = u->gateway->bus.prefer_near && u->n_active > 1 ? sched_getcpu() : -1;
        struct load_choice choice = { 0 };
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (instance_usable(i) && may_take(i, version))
                        load_consider(&choice, i, &i->load, here >= 0 && edge_peer_cpu(i->edge) == here);
        }
        return load_choose(&choice);
}

static bool has_version(const struct upstream *u, const char *version) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->active && !strcmp(version, i->version))
                        return true;
        }
        return false;
}

/* Is it sensible to wait? */
static bool is_expected(const struct upstream *u) {
        return u->present && (u->n_active || u->module.up);
}

static bool expected(const struct upstream *u, const struct request *request) {
        if (request->version && has_version(u, request->version))
                return true;
        return is_expected(u) && !(request->version && u->n_active);
}

static bool any_idle(const struct upstream *u) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (instance_usable(i) && !i->beside && !i->load.in_flight)
                        return true;
        }
        return false;
}

static uint32_t count_asked(struct upstream *u) {
        struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->state == INSTANCE_ASKED && u->gateway->now_ns > i->asked_ns + ASK_AGAIN_NS)
                        instance_forget_ask(i);
                n += i->state == INSTANCE_ASKED;
        }
        return n;
}

/* Who runs beside is asked only for those that name it. */
static bool is_waited_for(const struct upstream *u, const struct instance *i) {
        const struct request *request;

        if (!i->beside || !u->n_pinned)
                return !i->beside;
        TAILQ_FOREACH(request, &u->waiting, in_upstream) {
                if (request->version && may_take(i, request->version))
                        return true;
        }
        return false;
}

/* Edges to further instances are opened when those that are open have work: as many as requests wait, and one more, for
 * somebody may not answer. */
static void want_edges(struct upstream *u) {
        uint32_t n_asked = count_asked(u);
        struct instance *i;

        if (any_idle(u) && !u->n_waiting)
                return;
        TAILQ_FOREACH(i, &u->instances, entry) {
                if (n_asked > u->n_waiting)
                        return;
                if (!instance_askable(i) || !is_waited_for(u, i))
                        continue;
                instance_ask(i);
                n_asked += i->state == INSTANCE_ASKED;
        }
}

/* The queue ---------------------------------------------------------------------------------------------------------------- */

static void waiting_add(struct request *request, bool first) {
        struct upstream *u = request->upstream;

        request->state = REQUEST_WAITING;
        request->instance = NULL;
        request_forget_file(request);
        if (first)
                TAILQ_INSERT_HEAD(&u->waiting, request, in_upstream);
        else
                TAILQ_INSERT_TAIL(&u->waiting, request, in_upstream);
        u->n_waiting++;
        u->n_pinned += request->version != NULL;
        u->gateway->n_waiting++;
}

static void waiting_remove(struct request *request) {
        struct upstream *u = request->upstream;

        TAILQ_REMOVE(&u->waiting, request, in_upstream);
        u->n_waiting--;
        u->n_pinned -= request->version != NULL;
        u->gateway->n_waiting--;
}

static int unplaced_error(const struct upstream *u) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->state == INSTANCE_OPEN && i->active)
                        return ERROR_OVERLOADED;
        }
        return ERROR_UNAVAILABLE;
}

/* Of what had begun somewhere, its end is the reason. */
static void answer_unplaced(struct request *request, int error) {
        request_error(request, request->repeated ? request->repeated : error);
}

void upstream_take_back(struct request *request) {
        waiting_add(request, true);
}

/* What can be placed is; when the chosen version is full, only those that name another are looked at behind its first. */
static void place_waiting(struct upstream *u) {
        struct request *request, *next;
        bool full = false;

        for (request = TAILQ_FIRST(&u->waiting); request; request = next) {
                struct instance *i = full && !request->version ? NULL : choose(u, request->version);

                next = TAILQ_NEXT(request, in_upstream);
                full |= !i && !request->version;
                if (full && !u->n_pinned)
                        return;
                if (!i)
                        continue;
                waiting_remove(request);
                if (!instance_send(i, request)) {
                        /* What it had has come back into the queue. */
                        waiting_add(request, true);
                        next = TAILQ_FIRST(&u->waiting);
                        full = false;
                }
        }
}

/* Nobody is to be expected; or nobody of the version that it names, while others are there. */
static void give_up_waiting(struct upstream *u) {
        struct request *request, *next;

        if (!u->n_pinned && is_expected(u))
                return;
        for (request = TAILQ_FIRST(&u->waiting); request; request = next) {
                next = TAILQ_NEXT(request, in_upstream);
                if (expected(u, request))
                        continue;
                waiting_remove(request);
                answer_unplaced(request, ERROR_UNAVAILABLE);
        }
}

void upstream_pump(struct upstream *u) {
        place_waiting(u);
        give_up_waiting(u);
        if (u->n_waiting)
                want_edges(u);
}

void upstreams_pump(struct gateway *g) {
        if (!g->n_waiting)
                return;
        for (struct upstream *u = g->upstreams; u; u = u->next) {
                if (u->n_waiting)
                        upstream_pump(u);
        }
        if (g->n_waiting)
                bus_watch(&g->bus);
}

/* Requests ----------------------------------------------------------------------------------------------------------------- */

void upstream_submit(struct request *request, uint64_t timeout_ms) {
        struct upstream *u = request->upstream;
        struct gateway *g = u->gateway;
        struct instance *i;

        if (call_table_add(&g->calls, request, &request->id) < 0) {
                request_error(request, ERROR_NO_MEMORY);
                return;
        }
        g->counters.in_flight++;
        deadline_set(&g->deadlines, &request->deadline, g->now_ns + timeout_ms * NS_PER_MS);
        /* Who waits for a version of his own keeps nobody else. */
        i = u->n_waiting > u->n_pinned ? NULL : choose(u, request->version);
        if (i && instance_send(i, request)) {
                if (u->n_cold)
                        want_edges(u);
                return;
        }
        if (!expected(u, request) || u->n_waiting >= WAITING_MAX) {
                request_error(request, expected(u, request) ? unplaced_error(u) : ERROR_UNAVAILABLE);
                return;
        }
        waiting_add(request, false);
        want_edges(u);
}

void upstream_forget(struct request *request) {
        if (request->state == REQUEST_WAITING)
                waiting_remove(request);
        else if (request->state == REQUEST_SENT)
                instance_cancel(request->instance, request);
}

/* Also of one that never was sent: whoever has not even taken the edge offered to him may hang. */
static void tell_asked(struct upstream *u) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->state == INSTANCE_ASKED)
                        instance_timed_out(i);
        }
}

/* Whether its worker hangs, the manager decides when this is on its way already. */
static void answer_timeout(struct request *request) {
        struct problem problem = problem_of_error(ERROR_TIMEOUT, upstream_name(request->upstream));
        uint64_t ms = request->settings.timeout_ms;
        char detail[192];

        snprintf(detail, sizeof(detail), "module %s gave no answer within %s (%llu %s); a worker that hangs is ended and replaced",
                 problem.module, request->settings.own ? "the timeout of its route" : "request-timeout",
                 (unsigned long long)(ms % 1000 ? ms : ms / 1000), ms % 1000 ? "ms" : "s");
        problem.detail = detail;
        request_problem(request, &problem);
}

/* Of what is streamed, since something last moved. While a client is waited for, that is looked at anew. */
static bool goes_on(struct request *request) {
        struct gateway *g = request->gateway;
        uint64_t due_ns;

        if (!request->stream)
                return false;
        due_ns = stream_due_ns(request->stream);
        if (due_ns <= g->now_ns)
                return false;
        if (due_ns == UINT64_MAX)
                due_ns = g->now_ns + request->settings.timeout_ms * NS_PER_MS;
        deadline_set(&g->deadlines, &request->deadline, due_ns);
        return true;
}

void upstream_on_due(struct deadline *deadline) {
        struct request *request = REQUEST_OF(deadline);
        struct instance *i = request->instance;

        if (request->state == REQUEST_WAITING) {
                waiting_remove(request);
                tell_asked(request->upstream);
                answer_unplaced(request, unplaced_error(request->upstream));
        } else if (request->state == REQUEST_SENT) {
                if (goes_on(request))
                        return;
                instance_cancel(i, request);
                instance_timed_out(i);
                if (request->call)
                        request_error(request, ERROR_TIMEOUT); /* its timeout is its caller's own */
                else
                        answer_timeout(request);
        }
}
