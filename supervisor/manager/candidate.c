/* SPDX-License-Identifier: Apache-2.0
 *
 * Candidates: the machine of state.def around them.
 */
#include "supervisor/manager/candidate.h"

#include <stdio.h>
#include <stdlib.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/standing.h"

struct candidate *candidate_new(struct module *mod, struct manifest *manifest, const char *sha256, int package) {
        struct candidate *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->module = mod;
        c->manifest = *manifest;
        manifest_init(manifest);
        snprintf(c->sha256, sizeof(c->sha256), "%s", sha256);
        c->package = package;
        c->state = CANDIDATE_RESOLVED;
        TAILQ_INIT(&c->instances);
        TAILQ_INSERT_TAIL(&mod->candidates, c, entry);
        return c;
}

void candidate_free(struct candidate *c) {
        struct module *mod = c->module;

        if (mod->active == c)
                mod->active = NULL;
        operation_fail(c->operation, FAULT_SUPERSEDED, "the file was removed or replaced before it was active");
        TAILQ_REMOVE(&mod->candidates, c, entry);
        if (c->restart_timer)
                event_free(c->restart_timer);
        fd_close(c->package);
        manifest_deinit(&c->manifest);
        packages_release(mod->manager, c->sha256);
        free(c);
}

bool candidate_is_replaced(const struct candidate *c) {
        return c && c->replaced_in && !c->failed;
}

/* What happens -------------------------------------------------------------------------------------------------------- */

static void none(struct candidate *c) {
}

static void forget_failures(struct candidate *c) {
        c->failed = false;
        c->superseded = false;
        c->n_crashes = 0;
        if (c->restart_timer)
                evtimer_del(c->restart_timer); /* somebody asks for it: at once */
}

static void stop_waiting(struct candidate *c) {
        operation_fail(c->operation, FAULT_SUPERSEDED, "another version was chosen before this one was active");
        c->operation = NULL;
        if (c->restart_timer)
                evtimer_del(c->restart_timer);
}

static void (*const actions[])(struct candidate *c) = {
#define STATE(...)
#define ROW(event, action, ...) action,
#include "supervisor/manager/state.def"
#undef ROW
#undef STATE
};

/* A worker's end is told also when the version stays what it was. */
static bool is_told(const struct candidate *c, enum candidate_event event) {
        return state_next(c->state, event) != (int)c->state || event == CANDIDATE_ON_lose || event == CANDIDATE_ON_fail;
}

/* By which it changes: its own, that which takes the module away, or that of the version which takes its place. */
static const struct operation *operation_of(const struct candidate *c) {
        const struct candidate *other;

        if (c->operation && !c->operation->quiet)
                return c->operation;
        if (c->module->undeploy)
                return c->module->undeploy;
        TAILQ_FOREACH(other, &c->module->candidates, entry) {
                if (other->operation && !other->operation->quiet)
                        return other->operation;
        }
        return NULL;
}

static void tell(const struct candidate *c, enum candidate_state to, enum fault fault, const char *reason) {
        const struct operation *op = operation_of(c);

        history_add(c->module->history, c, to, fault, reason);
        events_note(&(struct event_note){ .kind = EVENT_state,
                                          .module = c->module->name,
                                          .version = c->manifest.version,
                                          .operation = op ? op->id : 0,
                                          .actor = op ? op->actor : "base",
                                          .from = state_name(c->state),
                                          .to = state_name(to),
                                          .fault = fault,
                                          .reason = reason });
}

/* Why it does not work stays to be read, until it is chosen again. */
static bool keeps_reason(const struct candidate *c, enum candidate_state to, enum fault fault) {
        return c->state == to && (to == CANDIDATE_QUARANTINED || (to == CANDIDATE_BROKEN && !fault));
}

/* At the start, what lies there and is not chosen is no deployment. */
static bool is_begun(enum candidate_state state) {
        return state == CANDIDATE_STARTING || state == CANDIDATE_ACTIVE || state == CANDIDATE_BROKEN || state == CANDIDATE_QUARANTINED;
}

void candidate_on(struct candidate *c, enum candidate_event event, enum fault fault, const char *reason) {
        int next = state_next(c->state, event);

        if (next == STATE_NEVER) {
                log_error("%s %s: `%s` cannot happen to what is %s", c->module->name, c->manifest.version, state_event_name(event),
                          state_name(c->state));
                return;
        }
        if (is_told(c, event)) {
                if (is_begun((enum candidate_state)next))
                        operation_speak(c->operation);
                tell(c, (enum candidate_state)next, fault, reason);
        }
        if (!keeps_reason(c, (enum candidate_state)next, fault)) {
                c->fault = fault;
                snprintf(c->reason, sizeof(c->reason), "%.*s", (int)sizeof(c->reason) - 1, reason);
        }
        c->state = (enum candidate_state)next;
        actions[event](c);
}

void candidate_restore(struct candidate *c, enum candidate_state state, enum fault fault, const char *reason) {
        c->state = state;
        c->fault = fault;
        snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

/* Choosing ------------------------------------------------------------------------------------------------------------ */

void candidate_choose(struct candidate *c, uint64_t choice) {
        c->choice = choice;
        candidate_on(c, CANDIDATE_ON_choose, FAULT_NONE, "");
        choices_save(c->module->manager);
        standing_note(c);
}

static void stamp_all(struct operation *op, enum operation_step first, enum operation_step last) {
        for (int s = (int)first; s <= (int)last; s++)
                operation_stamp(op, (enum operation_step)s, clock_now_ns());
}

void candidate_choose_again(struct candidate *c, struct operation *op, uint64_t choice) {
        const struct instance *i;

        if (c->operation)
                operation_fail(c->operation, FAULT_SUPERSEDED, "it was chosen again");
        c->operation = op;
        TAILQ_FOREACH(i, &c->instances, entry) {
                if (i->id && !i->retire)
                        stamp_all(op, STEP_forked, STEP_forked);
        }
        if (c->module->active == c && c->state == CANDIDATE_ACTIVE)
                stamp_all(op, STEP_forked, STEP_routed);
        candidate_choose(c, choice);
}

void candidate_detach(struct candidate *c) {
        if (c->file)
                c->file->candidate = NULL;
        c->file = NULL;
        choices_save(c->module->manager);
}

void candidate_set_failed(struct candidate *c) {
        c->failed = true;
        candidate_on(c, CANDIDATE_ON_fail, FAULT_START_FAILED, "it did not start before; drop it again to try it once more");
}
