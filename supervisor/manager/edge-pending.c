/* SPDX-License-Identifier: Apache-2.0
 *
 * What was offered and is not answered yet.
 *
 * Who is asked may never answer. The one who asks is told so after a second
 * (ERROR_TIMEOUT: it asks again in a while) and has one less under way, whoever
 * else hangs. The offer itself lies in the other one's link, which the kernel
 * holds on our account, so it stays counted, now against that one alone, until it
 * is answered. He who owes an answer is offered at most one more lot a second, and
 * each time that this is noticed it is looked at whether he hangs.
 *
 * A link keeps the order, so an answer says that what was offered before it has
 * been read as well, be its own answer lost.
 */
#include "supervisor/manager/edge-pending.h"

#include <stdlib.h>

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/outbox.h"

#define ANSWER_NS NS_PER_S
#define OFFERED_MAX 64 /* that one instance has not answered */

int pending_link(const struct pending_edge *p) {
        return p->from ? p->from->link : p->caller->link;
}

void edge_refuse(int link, uint64_t request, uint64_t target, int error, enum edge_limit limit) {
        struct control_edge_refused body = { .target = target, .error = error, .limit = limit };

        outbox_send(link, CONTROL_KIND_EDGE_REFUSED, request, &body, sizeof(body), NULL, 0);
}

static bool is_waited_for(const struct pending_edge *p) {
        return p->from || p->caller;
}

/* Nobody waits for it any more; its offer stays where it is. */
static void pending_abandon(struct pending_edge *p) {
        if (p->caller)
                p->caller->n_pending--;
        if (p->from)
                p->from->n_pending--;
        p->caller = NULL;
        p->from = NULL;
}

void pending_free(struct manager *m, struct pending_edge *p) {
        pending_abandon(p);
        p->target->n_offered--;
        TAILQ_REMOVE(&m->pending_edges, p, entry);
        free(p);
}

/* In time --------------------------------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *userdata);

/* All wait equally long: the first of those that are waited for is the next one. */
static void pending_arm(struct manager *m, uint64_t now) {
        const struct pending_edge *p;

        if (!m->pending_timer)
                m->pending_timer = evtimer_new(m->loop, on_timer, m);
        if (!m->pending_timer || evtimer_pending(m->pending_timer, NULL))
                return;
        TAILQ_FOREACH(p, &m->pending_edges, entry) {
                uint64_t left = p->due_ns > now ? p->due_ns - now : 0;
                struct timeval tv = { .tv_sec = (time_t)(left / NS_PER_S), .tv_usec = (suseconds_t)(left % NS_PER_S / NS_PER_US) };

                if (!is_waited_for(p))
                        continue;
                evtimer_add(m->pending_timer, &tv);
                return;
        }
}

static void pending_time_out(struct manager *m, struct pending_edge *p, uint64_t now) {
        edge_refuse(pending_link(p), p->request, p->target->id, ERROR_TIMEOUT, EDGE_LIMIT_NONE);
        pending_abandon(p);
        p->target->owes_until_ns = now + ANSWER_NS;
        instance_on_timed_out(m, p->target->id);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        uint64_t now = clock_now_ns();
        struct pending_edge *p;

        TAILQ_FOREACH(p, &m->pending_edges, entry) {
                if (is_waited_for(p) && p->due_ns <= now)
                        pending_time_out(m, p, now);
        }
        pending_arm(m, now);
}

/* Asking and answering -------------------------------------------------------------------------------------------------- */

int pending_room(struct instance *target) {
        struct manager *m = target->candidate->module->manager;

        if (target->n_offered >= OFFERED_MAX)
                return ERROR_BUSY;
        if (target->owes_until_ns <= clock_now_ns())
                return 0;
        instance_on_timed_out(m, target->id);
        return ERROR_TIMEOUT;
}

void pending_add(struct manager *m, struct pending_edge *p) {
        uint64_t now = clock_now_ns();

        p->due_ns = now + ANSWER_NS;
        if (p->caller)
                p->caller->n_pending++;
        else
                p->from->n_pending++;
        p->target->n_offered++;
        TAILQ_INSERT_TAIL(&m->pending_edges, p, entry);
        pending_arm(m, now);
}

struct pending_edge *pending_answered(struct manager *m, struct instance *target, uint64_t edge) {
        struct pending_edge *p, *next, *found = NULL;

        for (p = TAILQ_FIRST(&m->pending_edges); p; p = next) {
                next = TAILQ_NEXT(p, entry);
                if (p->target != target || p->edge > edge)
                        continue;
                if (p->edge == edge && is_waited_for(p))
                        found = p;
                else if (!is_waited_for(p))
                        pending_free(m, p);
                target->owes_until_ns = 0;
        }
        return found;
}

void pending_forget(struct manager *m, const struct pending_edge *ask, const struct instance *target) {
        struct pending_edge *p;

        TAILQ_FOREACH(p, &m->pending_edges, entry) {
                if (is_waited_for(p) && p->from == ask->from && p->caller == ask->caller && (!target || p->target == target))
                        pending_abandon(p);
        }
}

void pending_refuse(struct manager *m, const struct instance *target, int error) {
        struct pending_edge *p, *next;

        for (p = TAILQ_FIRST(&m->pending_edges); p; p = next) {
                next = TAILQ_NEXT(p, entry);
                if (p->target != target)
                        continue;
                if (is_waited_for(p))
                        edge_refuse(pending_link(p), p->request, target->id, error, EDGE_LIMIT_NONE);
                pending_free(m, p);
        }
}
