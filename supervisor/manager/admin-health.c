/* SPDX-License-Identifier: Apache-2.0
 *
 * Whoever wants to know how modules are waits here until all their workers have
 * answered. Several who ask share one question to each worker. A worker has
 * until its [health] timeout; who asks waits PATIENCE_MS at most, and is then told
 * who has not answered yet.
 */
#include "supervisor/manager/admin-health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/clock.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/health.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"

#define QUESTIONS_MAX 64
#define PATIENCE_MS 10000

struct question {
        TAILQ_ENTRY(question) entry;
        struct manager *manager;
        struct evhttp_request *req;
        struct event *patience;
        uint64_t begin_ns;
        char name[CONTROL_NAME_SIZE]; /* "": all */
};

static TAILQ_HEAD(, question) questions = TAILQ_HEAD_INITIALIZER(questions);
static unsigned n_questions;
static struct event *look; /* once a turn is enough, and never in the middle of something */

static bool is_about(const char *name, const struct module *mod) {
        return !name[0] || !strcmp(name, mod->name);
}

static bool may_be_asked(const struct instance *i) {
        return i->state == INSTANCE_READY && !i->retire;
}

/* Documents ---------------------------------------------------------------------------------------------------------- */

static bool module_is_up(const struct module *mod) {
        const char *reason;

        return TAILQ_EMPTY(&mod->candidates) || module_state(mod, &reason) == CANDIDATE_ACTIVE;
}

static void add_unhealthy(json_t *list, const struct candidate *c, enum fault fault, const char *reason) {
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o}", "module", c->module->name, "version", c->manifest.version, "state",
                              state_name(c->state), "code", fault_code(fault), "reason", json_text(reason));

        json_array_append_new(list, json_add_fault(j, fault, c->module->name));
}

/* The versions that a module has, but for those that others have superseded. */
static void add_not_up(json_t *list, const struct module *mod) {
        const struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->state != CANDIDATE_STOPPED && c->state != CANDIDATE_DRAINING)
                        add_unhealthy(list, c, c->fault, c->reason);
        }
}

static json_t *json_answer(const struct instance *i, const struct health_verdict *v, bool answered) {
        return json_pack("{s:s, s:s, s:I, s:i, s:o, s:b, s:o, s:o, s:I}", "module", i->candidate->module->name, "version",
                         i->candidate->manifest.version, "instance", (json_int_t)i->id, "pid", i->pid, "healthy",
                         answered ? json_boolean(v->healthy) : json_null(), "hook", v->hook, "reason", json_text(v->reason), "took_us",
                         answered ? json_integer((json_int_t)(v->took_ns / NS_PER_US)) : json_null(), "failures",
                         (json_int_t)v->n_failures);
}

/* True: all is well with it. */
static bool add_instance(const struct instance *i, uint64_t since_ns, json_t *instances, json_t *list) {
        struct health_verdict v;
        bool answered;

        health_verdict(i, &v);
        answered = v.at_ns && v.at_ns >= since_ns;
        if (!answered)
                snprintf(v.reason, sizeof(v.reason), "no answer yet");
        json_array_append_new(instances, json_answer(i, &v, answered));
        if (answered && v.healthy && !i->unhealthy)
                return true;
        add_unhealthy(list, i->candidate, FAULT_UNHEALTHY, i->unhealthy && v.healthy ? i->candidate->reason : v.reason);
        return false;
}

static bool add_module(const struct module *mod, uint64_t since_ns, json_t *instances, json_t *list) {
        const struct candidate *c;
        const struct instance *i;
        bool up = module_is_up(mod);

        if (!up)
                add_not_up(list, mod);
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                TAILQ_FOREACH(i, &c->instances, entry) {
                        if (may_be_asked(i))
                                up &= add_instance(i, since_ns, instances, list);
                }
        }
        return up;
}

json_t *json_health(struct manager *m, const char *name, uint64_t since_ns, bool *ret_healthy) {
        json_t *list = json_array(), *instances = json_array();
        bool healthy = m->ready_sent;
        const struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (is_about(name, mod))
                        healthy &= add_module(mod, since_ns, instances, list);
        }
        *ret_healthy = healthy;
        return json_pack("{s:b, s:b, s:o, s:o}", "healthy", healthy, "ready", m->ready_sent, "unhealthy", list, "instances", instances);
}

/* Waiting ------------------------------------------------------------------------------------------------------------ */

static void question_free(struct question *q) {
        TAILQ_REMOVE(&questions, q, entry);
        n_questions--;
        if (q->patience)
                event_free(q->patience);
        free(q);
}

static void question_answer(struct question *q) {
        struct evhttp_request *req = q->req;
        bool healthy;
        json_t *j = json_health(q->manager, q->name, q->begin_ns, &healthy);

        admin_on_gone(req, NULL, NULL);
        question_free(q);
        admin_reply_json(req, healthy ? 200 : 503, "application/json", j);
}

/* Does somebody owe an answer? One that came before it was asked for is none. */
static bool question_waits(const struct question *q) {
        const struct candidate *c;
        const struct instance *i;
        const struct module *mod;

        TAILQ_FOREACH(mod, &q->manager->modules, entry) {
                if (!is_about(q->name, mod))
                        continue;
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(i, &c->instances, entry) {
                                struct health_verdict v;

                                health_verdict(i, &v);
                                if (may_be_asked(i) && health_is_asked(i) && v.at_ns < q->begin_ns)
                                        return true;
                        }
                }
        }
        return false;
}

static void on_look(evutil_socket_t fd, short what, void *userdata) {
        struct question *q, *next;

        for (q = TAILQ_FIRST(&questions); q; q = next) {
                next = TAILQ_NEXT(q, entry);
                if (!question_waits(q))
                        question_answer(q);
        }
}

void admin_health_look(void) {
        if (look && n_questions)
                event_active(look, 0, 0);
}

static void on_patience(evutil_socket_t fd, short what, void *userdata) {
        question_answer(userdata);
}

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        question_free(userdata);
}

/* Asking ------------------------------------------------------------------------------------------------------------- */

static void ask_all(const struct question *q) {
        struct candidate *c;
        struct instance *i;
        struct module *mod;

        TAILQ_FOREACH(mod, &q->manager->modules, entry) {
                if (!is_about(q->name, mod))
                        continue;
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(i, &c->instances, entry) {
                                if (may_be_asked(i))
                                        health_ask(i);
                        }
                }
        }
}

static struct question *question_new(struct manager *m, struct evhttp_request *req, const char *name) {
        struct timeval tv = { .tv_sec = PATIENCE_MS / 1000 };
        struct question *q;

        if (!look)
                look = evtimer_new(m->loop, on_look, NULL);
        q = look ? calloc(1, sizeof(*q)) : NULL;
        if (!q)
                return NULL;
        q->manager = m;
        q->req = req;
        q->begin_ns = clock_now_ns();
        snprintf(q->name, sizeof(q->name), "%s", name);
        TAILQ_INSERT_TAIL(&questions, q, entry);
        n_questions++;
        q->patience = evtimer_new(m->loop, on_patience, q);
        if (!q->patience || evtimer_add(q->patience, &tv) < 0) {
                question_free(q);
                return NULL;
        }
        admin_on_gone(req, on_client_gone, q);
        return q;
}

void admin_health(struct manager *m, struct evhttp_request *req, const char *name) {
        struct question *q;

        if (n_questions >= QUESTIONS_MAX) {
                admin_problem(req, FAULT_BUSY, "too many wait for the answers of workers", NULL);
                return;
        }
        q = question_new(m, req, name);
        if (!q) {
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
                return;
        }
        ask_all(q);
        admin_health_look(); /* nobody may have been asked */
}
