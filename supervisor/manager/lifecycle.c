/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of modules, as one idempotent step: lifecycle_reconcile() compares
 * what is wanted with what is there and does the next thing.
 *
 * Wanted is the candidate that was chosen last among those that have a file and
 * did not fail when they were chosen. What serves is retired only after the
 * wanted one is READY and stands in the directory (make before break), so a new
 * version that does not start changes nothing for anybody.
 *
 * After the directory says DRAINING, a request may still reach the old worker:
 * a gateway may have chosen just before. The worker then answers NOT_STARTED and
 * the gateway chooses again. Correctness is per edge; the directory only makes
 * such refusals rare. An operation is done when the old worker has said that it
 * accepts nothing any more: from then on no answer can come from it.
 */
#include "supervisor/manager/lifecycle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/cut.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/hooks.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/interrupted.h"
#include "supervisor/manager/line-file.h"
#include "supervisor/manager/needs.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/publish.h"
#include "supervisor/manager/quiescence.h"
#include "supervisor/manager/reload.h"
#include "supervisor/manager/replicas.h"
#include "supervisor/manager/restart.h"
#include "supervisor/manager/shortfall.h"
#include "supervisor/manager/standing.h"
#include "supervisor/manager/strategy.h"
#include "supervisor/manager/versions.h"
#include "supervisor/manager/writer.h"

#define BASE_STOPS_MS 1000 /* between two questions for a worker that a base which stops has refused */
#define PROBATION_BURST 2u /* crashes that a new version may have before the one before comes back */

/* Reconciliation ----------------------------------------------------------------------------------------------------- */

static void candidate_retire(struct candidate *c) {
        struct instance *i, *next;
        bool any = false;

        for (i = TAILQ_FIRST(&c->instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                instance_retire(i);
                any = true;
        }
        candidate_on(c, any ? CANDIDATE_ON_retire : CANDIDATE_ON_gone, FAULT_NONE, "");
}

static void candidate_start(struct candidate *c) {
        bool was_waiting = needs_waits(c);
        char reason[sizeof(c->reason)];

        if (c->restart_timer && evtimer_pending(c->restart_timer, NULL))
                return;
        /* One that is to be replaced anyway is not filled up. */
        if (c->stale && replicas_serve(c))
                return;
        /* What has served stays as it was deployed. */
        if (!c->served && TAILQ_EMPTY(&c->instances) && needs_circle(c, reason, sizeof(reason))) {
                lifecycle_on_start_failed(c, FAULT_NEEDS_CIRCLE, reason);
                return;
        }
        if (needs_wait(c))
                return;
        while (replicas_staying(c) < replicas_wanted(c)) {
                struct instance *resting = replicas_resting(c);

                if (resting)
                        instance_resume(resting);
                else if (!instance_start(c))
                        break;
        }
        if (replicas_staying(c) < replicas_wanted(c)) {
                lifecycle_on_start_failed(c, FAULT_FORK_FAILED, "the base could not be asked for a worker");
                return;
        }
        /* What it is started again for stays to be read. */
        snprintf(reason, sizeof(reason), "%s", was_waiting ? "" : c->reason);
        candidate_on(c, CANDIDATE_ON_start, FAULT_NONE, reason);
        /* Calls wait for a service that is starting, so its name must be known. */
        if (!c->module->active && c->manifest.n_services)
                publish(c->module->manager);
}

/* Kept ready for a switch back. Without a worker to keep, it is as any other. */
static void candidate_rest(struct candidate *c) {
        struct instance *i, *next;
        bool any = false, idle = true;

        for (i = TAILQ_FIRST(&c->instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                if (!instance_rest(i))
                        continue;
                any = true;
                idle &= i->state == INSTANCE_STANDBY;
        }
        if (!any)
                candidate_retire(c);
        else if (idle)
                candidate_on(c, CANDIDATE_ON_rested, FAULT_NONE, "");
        else if (c->state != CANDIDATE_STANDBY)
                candidate_on(c, CANDIDATE_ON_retire, FAULT_NONE, "");
}

/* It serves: with all that its manifest counts on? */
static void deployed(struct candidate *c, struct operation *op) {
        if (op && op->kind == OPERATION_DEPLOY && !op->unchanged)
                shortfalls_text(c->module->manager, &c->manifest, op->warning, sizeof(op->warning));
        if (op && op->warning[0])
                log_warning("%s %s: %s", c->module->name, c->manifest.version, op->warning);
        operation_done(op);
}

/* Runs as if it were chosen, but only for those that ask for it. */
static void candidate_run_beside(struct candidate *c) {
        if (c->state != CANDIDATE_QUARANTINED && replicas_staying(c) < replicas_wanted(c))
                candidate_start(c);
        if (replicas_complete(c) && c->state != CANDIDATE_ACTIVE) {
                candidate_on(c, CANDIDATE_ON_ready, FAULT_NONE, "");
                c->served = true;
                publish(c->module->manager);
        }
        if (c->state == CANDIDATE_ACTIVE)
                deployed(c, TAKE_PTR(c->operation));
}

/* It serves on, but what is sent from now on goes to another one. */
static void candidate_step_aside(struct candidate *c) {
        struct instance *i;

        TAILQ_FOREACH(i, &c->instances, entry) {
                if (i->state == INSTANCE_READY && !i->retire)
                        quiescence_begin(i);
        }
}

static void settle_other(struct candidate *c) {
        if (strategy_beside(c))
                candidate_run_beside(c);
        else if (strategy_rests(c))
                candidate_rest(c);
        else
                candidate_retire(c);
}

/* As long as there is something to go back to. */
static void begin_probation(struct candidate *c, const struct candidate *before) {
        bool stays = before && strcmp(before->sha256, c->sha256) != 0 && !before->failed && before->state != CANDIDATE_QUARANTINED &&
                     (before->file || before->manifest.keep);

        /* It has its own only once: what is switched back to has shown what it can. */
        if (!stays || c->served || !c->manifest.probation_ms)
                return;
        c->probation_ns = clock_now_ns() + c->manifest.probation_ms * NS_PER_MS;
        standing_note(c);
}

/* What serves was removed, and the choice before it is in quarantine: nobody starts that, so the newest other one is chosen, if there
 * is one. What serves is let go in any case. */
static struct candidate *choose_behind_quarantine(struct module *mod, struct candidate *want) {
        struct candidate *c, *best = NULL;

        if (!want || want->state != CANDIDATE_QUARANTINED || !mod->active || mod->active == want || mod->active->file ||
            candidate_is_replaced(mod->active))
                return want;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && !c->failed && !c->superseded && c->state != CANDIDATE_QUARANTINED && (!best || c->choice > best->choice))
                        best = c;
        }
        if (best) {
                candidate_choose(best, mod->manager->next_choice++);
                return best;
        }
        mod->active = NULL;
        publish(mod->manager);
        return want;
}

void lifecycle_reconcile(struct module *mod) {
        struct candidate *want, *c, *next;

        if (mod->manager->restoring)
                return;
        want = choose_behind_quarantine(mod, module_wanted(mod));
        if (want && want->state != CANDIDATE_QUARANTINED && replicas_staying(want) < replicas_wanted(want))
                candidate_start(want);
        if (want && replicas_complete(want) && mod->active != want) {
                struct candidate *before = mod->active;

                begin_probation(want, before);
                mod->active = want;
                want->served = true;
                if (before && want->operation)
                        snprintf(want->operation->replaces, sizeof(want->operation->replaces), "%s", before->manifest.version);
                candidate_on(want, CANDIDATE_ON_ready, FAULT_NONE, "");
                publish(mod->manager);
                operation_stamp(want->operation, STEP_routed, clock_now_ns());
                if (before && strategy_beside(before))
                        candidate_step_aside(before);
                if (before)
                        log_debug("%s: %s replaces %s", mod->name, want->manifest.version, before->manifest.version);
        }
        if (!want && mod->active) {
                mod->active = NULL;
                publish(mod->manager);
        }
        for (c = TAILQ_FIRST(&mod->candidates); c; c = next) {
                next = TAILQ_NEXT(c, entry);
                if (c != want && c != mod->active)
                        settle_other(c);
        }
        lifecycle_on_progress(mod);
}

static bool module_all_refuse(const struct module *mod, const struct candidate *except) {
        struct candidate *c;
        struct instance *i;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                TAILQ_FOREACH(i, &c->instances, entry) {
                        if (c != except && (strategy_beside(c) ? i->settles : !instance_refuses(i)))
                                return false;
                }
        }
        return true;
}

/* Of candidates that are to go; that the last one is gone is told of the version before it is told of the whole. */
static bool module_has_instances(const struct module *mod) {
        struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!c->file && !candidate_is_replaced(c) && (!TAILQ_EMPTY(&c->instances) || c->state == CANDIDATE_DRAINING))
                        return true;
        }
        return false;
}

void lifecycle_on_progress(struct module *mod) {
        struct candidate *a = mod->active;

        if (a && a->operation && replicas_serve(a) && module_all_refuse(mod, a)) {
                struct operation *op = TAKE_PTR(a->operation);

                drop_on_deployed(a, op);
                deployed(a, op);
        }
        if (mod->undeploy && !mod->undeploy->n_waiting && !drop_looks_at(mod) && !module_has_instances(mod) && !of_leaves(mod))
                operation_done(TAKE_PTR(mod->undeploy)); /* unless it has failed already */
}

/* Whose file is gone and whose last instance is. One that was replaced and waits to be restarted is wanted still. */
static void module_sweep(struct module *mod) {
        struct candidate *want = module_wanted(mod), *c, *next;

        for (c = TAILQ_FIRST(&mod->candidates); c; c = next) {
                next = TAILQ_NEXT(c, entry);
                if (!c->file && TAILQ_EMPTY(&c->instances) && c != want)
                        candidate_free(c);
        }
}

void lifecycle_settle(struct module *mod) {
        struct manager *m = mod->manager;

        lifecycle_on_progress(mod);
        module_free_if_empty(mod);
        lifecycle_check_stopped(m);
}

void lifecycle_on_gone(struct candidate *c) {
        struct module *mod = c->module;
        struct manager *m = mod->manager;

        if (TAILQ_EMPTY(&c->instances) && (c->state == CANDIDATE_DRAINING || c->state == CANDIDATE_STANDBY))
                candidate_on(c, CANDIDATE_ON_gone, FAULT_NONE, "");
        of_on_gone(mod);
        module_sweep(mod);
        lifecycle_reconcile(mod);
        module_sweep(mod);
        module_free_if_empty(mod);
        needs_look(m);
        lifecycle_check_stopped(m);
        lifecycle_check_restored(m);
}

/* Events of instances ------------------------------------------------------------------------------------------------ */

void lifecycle_on_ready(struct instance *i) {
        struct candidate *c = i->candidate;
        struct page_vitals v;

        instance_vitals(i, &v);
        operation_stamp(c->operation, STEP_loaded, v.level_ns[PAGE_LOADED]);
        operation_stamp(c->operation, STEP_started, v.level_ns[PAGE_READY]);
        if (c->module->active == c || strategy_beside(c)) {
                /* back after a crash, or in the place of an unhealthy one */
                if (replicas_complete(c))
                        candidate_on(c, CANDIDATE_ON_ready, FAULT_NONE, "");
                publish(c->module->manager);
                operation_stamp(c->operation, STEP_routed, clock_now_ns());
                if (replicas_retire_unhealthy(c, false))
                        publish(c->module->manager);
        }
        lifecycle_reconcile(c->module);
        module_sweep(c->module);
        needs_look(c->module->manager);
        lifecycle_check_restored(c->module->manager);
}

static void restart_later(struct candidate *c);

/* As long as others serve, the version is what it was, and history tells what it has lost. */
static void note_loss(struct candidate *c, enum fault fault, const char *reason) {
        candidate_on(c, replicas_serve(c) ? CANDIDATE_ON_lose : CANDIDATE_ON_fail, fault, reason);
}

void lifecycle_on_start_failed(struct candidate *c, enum fault fault, const char *reason) {
        log_error("%s %s: %s: %s", c->module->name, c->manifest.version, fault_code(fault), reason);
        if (c->served && (replicas_serve(c) || !c->operation)) {
                /* It has worked before: the crash policy decides. */
                note_loss(c, fault, reason);
                restart_later(c);
                return;
        }
        c->failed = true;
        candidate_on(c, CANDIDATE_ON_fail, fault, reason);
        choices_save(c->module->manager);
        standing_note(c);
        operation_fail(TAKE_PTR(c->operation), fault, reason);
        lifecycle_reconcile(c->module);
        needs_look(c->module->manager); /* who waits for it has another reason now */
        lifecycle_check_restored(c->module->manager);
}

static void on_restart_timer(evutil_socket_t fd, short what, void *userdata) {
        struct candidate *c = userdata;

        lifecycle_reconcile(c->module);
}

void lifecycle_restart_after(struct candidate *c, uint64_t ms) {
        struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

        if (!c->restart_timer)
                c->restart_timer = evtimer_new(c->module->manager->loop, on_restart_timer, c);
        /* Also at once by the timer: who could not even ask for a worker is not called by anybody else. Without memory, the next
         * reconciliation starts it. */
        if (c->restart_timer)
                evtimer_add(c->restart_timer, &tv);
}

/* It waits for its requests to end before it tells us. */
void lifecycle_on_base_stopping(struct candidate *c) {
        operation_fail(TAKE_PTR(c->operation), FAULT_STOPPING, "the base is stopping");
        lifecycle_restart_after(c, BASE_STOPS_MS);
}

static void restart_later(struct candidate *c) {
        const struct manifest *man = &c->manifest;
        struct restart_policy policy = { man->burst, man->period_ms, man->backoff_ms, man->backoff_max_ms };
        uint64_t now = clock_now_ns(), delay;
        bool on_probation = now < c->probation_ns;
        char text[64];
        uint32_t random = 0;

        if (c->state == CANDIDATE_QUARANTINED)
                return;
        if (!c->n_crashes || now - c->first_crash_ns > man->period_ms * NS_PER_MS) {
                c->n_crashes = 0;
                c->first_crash_ns = now;
        }
        c->n_crashes++;
        c->restarts++;
        if (on_probation)
                policy.burst = MIN(policy.burst, PROBATION_BURST);
        if (restart_exceeds(&policy, c->n_crashes)) {
                char reason[640];

                if (restart_exceeds(&(struct restart_policy){ .burst = man->burst }, c->n_crashes))
                        snprintf(reason, sizeof(reason), "%u crashes within %llu s, the last: %s", c->n_crashes,
                                 (unsigned long long)(man->period_ms / 1000), c->reason);
                else
                        snprintf(reason, sizeof(reason), "%u crashes on probation, the last: %s", c->n_crashes, c->reason);
                candidate_on(c, CANDIDATE_ON_exceed, FAULT_QUARANTINED, reason);
                operation_fail(TAKE_PTR(c->operation), FAULT_QUARANTINED, reason);
                log_error("%s %s: quarantined: %s", c->module->name, man->version, reason);
                if (on_probation)
                        version_give_way(c, reason);
                standing_note(c);
                publish(c->module->manager);
                return;
        }
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
                random = (uint32_t)now;
        delay = restart_delay_ms(&policy, c->n_crashes, random);
        lifecycle_restart_after(c, delay);
        standing_note(c);
        snprintf(text, sizeof(text), "restart %u within its period, in %llu ms", c->n_crashes, (unsigned long long)delay);
        events_note(&(struct event_note){ .kind = EVENT_respawn, .module = c->module->name, .version = man->version, .reason = text });
}

void lifecycle_on_crash(struct candidate *c, uint64_t instance, const char *how) {
        events_note(&(struct event_note){
                .kind = EVENT_crash, .module = c->module->name, .version = c->manifest.version, .instance = instance, .reason = how });
        log_error("%s %s: a worker has ended: %s", c->module->name, c->manifest.version, how);
        note_loss(c, FAULT_CRASHED, how);
        publish(c->module->manager);
        restart_later(c);
}

void lifecycle_on_unhealthy(struct instance *i, const char *reason) {
        struct candidate *c = i->candidate;

        i->unhealthy = true;
        log_error("%s %s: worker %d: %s; another one is to take its place", c->module->name, c->manifest.version, i->pid, reason);
        note_loss(c, FAULT_UNHEALTHY, reason);
        restart_later(c);
        /* The policy has given up: then it does not go on serving as it is, either. */
        if (c->state == CANDIDATE_QUARANTINED && replicas_retire_unhealthy(c, true))
                publish(c->module->manager);
}

void lifecycle_on_released(struct instance *i, const struct control_exited *e, const char *how) {
        struct module *mod = i->candidate->module;
        struct released released = { .exited = *e, .n_edges = i->n_edges };

        snprintf(released.version, sizeof(released.version), "%s", i->candidate->manifest.version);
        released.fault = cut_fault(i, e, how, released.reason, sizeof(released.reason));
        /* The package's own removal tells of all that is made of it. */
        if (!i->candidate->file) {
                operation_released(mod->undeploy, &released);
                operation_released(of_undeploy(mod), &released);
        }
        if (e->error)
                log_error("%s %s: teardown of worker %d: %s", mod->name, i->candidate->manifest.version, e->pid, strerror(-e->error));
}

/* The whole ---------------------------------------------------------------------------------------------------------- */

static bool module_settled(const struct module *mod) {
        const struct candidate *want = module_wanted(mod);

        /* Who waits for a service is started before anybody asks here, if it comes at all. */
        return !want || mod->active == want || want->state == CANDIDATE_BROKEN || want->state == CANDIDATE_QUARANTINED || needs_waits(want);
}

static int compare_priority(const void *a, const void *b) {
        const struct module *x = *(struct module *const *)a, *y = *(struct module *const *)b;
        const struct candidate *p = module_wanted(x), *q = module_wanted(y);
        uint64_t m = p ? p->manifest.priority : UINT64_MAX, n = q ? q->manifest.priority : UINT64_MAX;

        return m < n ? -1 : m > n;
}

/* Their workers were made before the operator changed something. */
static void look_at_stale(struct manager *m) {
        struct drop_file *f, *next;

        for (f = TAILQ_FIRST(&m->files); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                if (f->candidate && f->candidate->stale)
                        drop_look(f, false);
        }
}

/* Of what was adopted: the newest choice of which nothing is missing, else the newest that serves at all. */
static struct candidate *module_serving(const struct module *mod) {
        struct candidate *c, *best = NULL;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                bool complete = replicas_complete(c);

                if (!replicas_serve(c))
                        continue;
                if (!best || complete > replicas_complete(best) || (complete == replicas_complete(best) && c->choice > best->choice))
                        best = c;
        }
        return best;
}

static void restore_all(struct manager *m) {
        struct module *mod, **sorted;
        struct candidate *c;
        size_t n = 0, i;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        instance_adopt(m, c);
                        replicas_retire_surplus(c);
                }
        }
        instance_adopt_end(m);
        m->restoring = false;
        choices_save(m);
        packages_sweep(m);
        /* Routes of what was adopted must be there before the first change is published. */
        TAILQ_FOREACH(mod, &m->modules, entry) {
                mod->active = module_serving(mod);
                if (mod->active)
                        candidate_on(mod->active, CANDIDATE_ON_adopt, FAULT_NONE, "adopted");
                n++;
        }
        publish(m);
        sorted = calloc(n + 1, sizeof(struct module *)); /* NOLINT(bugprone-sizeof-expression): of a pointer, it is meant */
        if (!sorted) {
                log_error("out of memory at the start");
                _exit(EXIT_FAILURE); /* the base starts another manager */
        }
        n = 0;
        TAILQ_FOREACH(mod, &m->modules, entry) {
                module_forgive(mod);
                sorted[n++] = mod;
        }
        qsort(sorted, n, sizeof(struct module *), compare_priority); /* NOLINT(bugprone-sizeof-expression) */
        for (i = 0; i < n; i++)
                lifecycle_reconcile(sorted[i]);
        free(sorted);
        standing_restored(m);
        history_started();
        look_at_stale(m);
        interrupted_check(m);
}

void lifecycle_check_restored(struct manager *m) {
        struct module *mod;

        interrupted_check(m);
        config_reload_check(m);
        if (m->ready_sent || m->stopping)
                return;
        if (m->restoring) {
                if (drop_busy(m))
                        return;
                restore_all(m);
        }
        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (!module_settled(mod))
                        return;
        }
        m->ready_sent = true;
        base_link_ready(m);
}

void lifecycle_check_stopped(struct manager *m) {
        if (m->stopping)
                line_files_flush();
        if (m->stopping && TAILQ_EMPTY(&m->modules) && !writer_busy(m->writer) && !hooks_linger())
                base_link_shutdown_done(m);
}

void lifecycle_shutdown(struct manager *m) {
        struct module *mod, *next;

        if (m->stopping)
                return;
        /* From here on memory does not say any more what the files mean. */
        choices_flush(m);
        m->stopping = true;
        for (mod = TAILQ_FIRST(&m->modules); mod; mod = next) {
                struct candidate *c, *following;

                next = TAILQ_NEXT(mod, entry);
                lifecycle_reconcile(mod);
                /* Every candidate is let go; the last instance of each takes it and then the module away. */
                for (c = TAILQ_FIRST(&mod->candidates); c; c = following) {
                        following = TAILQ_NEXT(c, entry);
                        if (c->file)
                                c->file->candidate = NULL;
                        c->file = NULL;
                        if (TAILQ_EMPTY(&c->instances))
                                candidate_free(c);
                }
                module_free_if_empty(mod);
        }
        lifecycle_check_stopped(m);
}
