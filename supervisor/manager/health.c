/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking workers whether they are well.
 *
 * One question to an instance is under way at a time, whoever asks: at the
 * interval of its manifest, or because somebody wants to know. It ends with the
 * worker's answer or at [health] timeout, whatever comes first. There is a timer
 * only while a question is under way or an interval runs: without [health]
 * interval, nobody wakes for this.
 *
 * Only questions at the interval count. Who may look must not be able to change
 * anything by looking, so an answer on demand is shown and has no consequence.
 * After [health] threshold failures in a row,
 *
 *   a worker that still turns its loop serves on until another one is ready to
 *   take its place (the hook says no, or waits for something);
 *   one that does not (page->turns stands still though a record has come) serves
 *   nobody, and is killed at once (when it has been asked where it is).
 *
 * Either counts as a crash for the restart policy, so a module that is never well
 * is restarted at growing intervals and ends in quarantine. A failure that is
 * followed by a success before the threshold is forgotten.
 *
 * A module without the hook is asked too: its worker answers from its loop, which
 * is the proof that its handlers come back.
 */
#include "supervisor/manager/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-health.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/module-log.h"

struct health {
        struct instance *instance;
        struct event *timer; /* the end of the question under way, else the next one */
        bool asking, counts;
        uint64_t request;    /* that was sent last */
        uint64_t sent_turns; /* of the worker's loop, when it was sent */
        uint64_t asked_turns, asked_ns;
        uint64_t due_ns; /* of the next one at the interval */
        struct health_verdict verdict;
};

static const struct manifest *manifest_of(const struct health *h) {
        return &h->instance->candidate->manifest;
}

static void health_arm(struct health *h, uint64_t ns) {
        struct timeval tv = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_usec = (suseconds_t)(ns % NS_PER_S / NS_PER_US) };

        evtimer_add(h->timer, &tv);
}

/* Code of the module runs and has not come back: since when, or 0. */
static uint64_t runs_since(const struct instance *i) {
        struct page_vitals v;

        instance_vitals(i, &v);
        return v.running_ns <= clock_now_ns() ? v.running_ns : 0;
}

/* Consequences ------------------------------------------------------------------------------------------------------- */

static void unhealthy(struct health *h, bool hangs) {
        struct instance *i = h->instance;
        char reason[sizeof(i->reason)];

        if (h->verdict.n_failures == 1)
                snprintf(reason, sizeof(reason), "unhealthy: %.220s", h->verdict.reason);
        else
                snprintf(reason, sizeof(reason), "unhealthy %u times in a row: %.200s", h->verdict.n_failures, h->verdict.reason);
        if (!hangs)
                lifecycle_on_unhealthy(i, reason);
        else if (runs_since(i))
                diagnosis_begin(i, reason); /* who runs can say where */
        else
                instance_kill(i, reason);
}

static void count_failure(struct health *h, bool hangs) {
        const struct candidate *c = h->instance->candidate;
        uint64_t threshold = manifest_of(h)->health_threshold;

        h->verdict.n_failures++;
        log_warning("%s %s: worker %d is not healthy (%u of %llu): %s", c->module->name, c->manifest.version, h->instance->pid,
                    h->verdict.n_failures, (unsigned long long)threshold, h->verdict.reason);
        module_log_say(h->instance, 4, "not healthy (%u of %llu): %s", h->verdict.n_failures, (unsigned long long)threshold,
                       h->verdict.reason);
        if (h->verdict.n_failures >= threshold)
                unhealthy(h, hangs);
}

static void count(struct health *h, bool hangs) {
        const struct candidate *c = h->instance->candidate;

        if (!h->verdict.healthy) {
                count_failure(h, hangs);
                return;
        }
        if (h->verdict.n_failures)
                log_notice("%s %s: worker %d is healthy again", c->module->name, c->manifest.version, h->instance->pid);
        h->verdict.n_failures = 0;
}

/* Is it asked at the interval? Not once its place is to be taken. */
static bool is_watched(const struct health *h) {
        const struct instance *i = h->instance;

        return manifest_of(h)->health_interval_ms && i->state == INSTANCE_READY && !i->retire && !i->unhealthy && !i->diagnosis;
}

/* `reason` NULL: it is well. */
static void conclude(struct health *h, const char *reason, uint64_t took_ns, bool hangs) {
        uint64_t now = clock_now_ns();
        struct health_verdict *v = &h->verdict;

        h->asking = false;
        v->at_ns = now;
        v->took_ns = took_ns;
        v->healthy = !reason;
        snprintf(v->reason, sizeof(v->reason), "%s", reason ? reason : "");
        evtimer_del(h->timer);
        admin_health_look();
        if (h->counts)
                count(h, hangs);
        if (is_watched(h))
                health_arm(h, h->due_ns > now ? h->due_ns - now : 0);
}

/* Asking ------------------------------------------------------------------------------------------------------------- */

/* A record that the worker has not even read yet is not followed by another one: its link has to stay open for orders. */
static void send_question(struct health *h, uint64_t turns) {
        struct instance *i = h->instance;
        struct control_health body = { .deadline_ns = h->asked_ns + manifest_of(h)->health_timeout_ms * NS_PER_MS };

        h->asked_turns = turns;
        if (h->request && turns == h->sent_turns)
                return;
        h->request = manager_request(i->candidate->module->manager);
        h->sent_turns = turns;
        control_send(i->link, CONTROL_KIND_HEALTH, h->request, &body, sizeof(body), NULL, 0); /* lost: it does not answer */
}

static void health_begin(struct health *h, bool counts) {
        struct page_vitals v;

        instance_vitals(h->instance, &v);
        h->asking = true;
        h->counts = counts;
        h->asked_ns = clock_now_ns();
        send_question(h, v.turns);
        health_arm(h, manifest_of(h)->health_timeout_ms * NS_PER_MS);
}

static void on_timeout(struct health *h) {
        unsigned long long timeout_ms = manifest_of(h)->health_timeout_ms;
        uint64_t now = clock_now_ns();
        struct page_vitals v;
        char reason[160];
        bool hangs;

        instance_vitals(h->instance, &v);
        hangs = v.turns == h->asked_turns;
        if (!hangs)
                snprintf(reason, sizeof(reason), "`health` has not returned within [health] timeout (%llu ms)", timeout_ms);
        else if (runs_since(h->instance))
                snprintf(reason, sizeof(reason),
                         "no answer within [health] timeout (%llu ms): its code has run for %llu ms without coming back", timeout_ms,
                         (unsigned long long)((now - runs_since(h->instance)) / NS_PER_MS));
        else
                snprintf(reason, sizeof(reason), "no answer within [health] timeout (%llu ms): its process does not run", timeout_ms);
        conclude(h, reason, now - h->asked_ns, hangs);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        struct health *h = userdata;

        if (h->asking) {
                on_timeout(h);
                return;
        }
        h->due_ns = clock_now_ns() + manifest_of(h)->health_interval_ms * NS_PER_MS;
        health_begin(h, true);
}

/* What the worker says is shown to people and stands in logs. */
static void clean(char *text, size_t size) {
        text[size - 1] = '\0';
        for (char *c = text; *c; c++) {
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = '?';
        }
}

void health_on_result(struct instance *i, uint64_t request, struct control_health_result *result) {
        struct health *h = i->health;
        uint64_t took, timeout_ms;
        char reason[320];

        if (!h || !h->asking || request != h->request)
                return;
        /* The hook may have begun for an earlier question. */
        took = MAX(clock_now_ns() - h->asked_ns, result->took_ns);
        timeout_ms = manifest_of(h)->health_timeout_ms;
        h->request = 0;
        h->verdict.hook = result->hook;
        clean(result->text, sizeof(result->text));
        if (result->result && result->text[0])
                snprintf(reason, sizeof(reason), "`health` returned %d (%s)", result->result, result->text);
        else if (result->result)
                snprintf(reason, sizeof(reason), "`health` returned %d", result->result);
        else if (took > timeout_ms * NS_PER_MS)
                snprintf(reason, sizeof(reason), "`health` took %llu ms, more than [health] timeout",
                         (unsigned long long)(took / NS_PER_MS));
        else
                reason[0] = '\0';
        conclude(h, reason[0] ? reason : NULL, took, false);
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static struct health *health_get(struct instance *i) {
        struct health *h = i->health;

        if (h)
                return h;
        h = calloc(1, sizeof(*h));
        if (!h)
                return NULL;
        h->instance = i;
        h->timer = evtimer_new(i->candidate->module->manager->loop, on_timer, h);
        if (!h->timer) {
                free(h);
                return NULL;
        }
        i->health = h;
        return h;
}

void health_start(struct instance *i) {
        uint64_t interval_ns = i->candidate->manifest.health_interval_ms * NS_PER_MS;
        struct health *h = interval_ns ? health_get(i) : NULL;

        if (!interval_ns)
                return;
        if (!h) {
                log_error("%s: worker %d is not asked for its health: out of memory", i->candidate->module->name, i->pid);
                return;
        }
        h->due_ns = clock_now_ns() + interval_ns;
        health_arm(h, interval_ns);
}

void health_stop(struct instance *i) {
        struct health *h = i->health;

        if (!h)
                return;
        h->asking = false;
        evtimer_del(h->timer);
        admin_health_look();
}

void health_free(struct instance *i) {
        struct health *h = i->health;

        if (!h)
                return;
        i->health = NULL;
        event_free(h->timer);
        free(h);
        admin_health_look();
}

void health_ask(struct instance *i) {
        struct health *h = health_get(i);

        if (h && !h->asking)
                health_begin(h, false);
}

bool health_is_asked(const struct instance *i) {
        return i->health && i->health->asking;
}

void health_verdict(const struct instance *i, struct health_verdict *ret_verdict) {
        *ret_verdict = i->health ? i->health->verdict : (struct health_verdict){ 0 };
}
