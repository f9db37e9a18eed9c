/* SPDX-License-Identifier: Apache-2.0
 *
 * The last step of an admission: the candidate takes its place in the order of
 * choices, beside or instead of what the file was before.
 */
#include "supervisor/manager/admission-internal.h"

#include <stdio.h>
#include <string.h>

#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/interrupted.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/standing.h"

static void candidate_place(struct admission *a, struct candidate *c, const struct candidate *before) {
        const struct remembered *known = choices_find(a->manager, c->module->name, c->manifest.version, c->sha256);
        uint64_t of = of_choice(a->file);

        c->by_api = a->operation && (a->operation->on_end || a->operation->kind == OPERATION_ROLLBACK) ? true : known && known->by_api;
        c->by_api |= interrupted_put(a->manager, a->file->name);
        if (before && !a->arrived && !strcmp(before->sha256, c->sha256)) {
                c->by_api = before->by_api;
                candidate_choose(c, before->choice); /* only its settings have changed */
        } else if (of && !a->arrived && !a->manager->restoring) {
                candidate_choose(c, of); /* its name is new */
        } else if (known && !a->arrived) {
                candidate_choose(c, known->choice);
                c->failed = known->failed;
                if (!standing_restore(c) && known->failed)
                        candidate_set_failed(c);
        } else {
                candidate_choose(c, a->file->choice ? a->file->choice : of ? of : a->manager->next_choice++);
        }
        /* What is put into the drop directory, and taken out of it, is the package alone. */
        c->by_api &= !a->file->alias[0];
        /* Only when there is nothing else; at the start that is seen when all is there. */
        if (!a->manager->restoring)
                module_forgive(c->module);
}

static void operation_stamp_all(struct operation *op, enum operation_step first, enum operation_step last) {
        for (int s = (int)first; s <= (int)last; s++)
                operation_stamp(op, (enum operation_step)s, clock_now_ns());
}

/* The operator's word for the package has changed: whoever has it read again is told what comes of it. NULL: out of memory. */
static struct operation *operation_of_settings(const struct admission *a, const struct candidate *c) {
        struct operation *op = operation_new(&a->manager->operations, OPERATION_DEPLOY, c->module->name, a->file->name);

        if (!op)
                return NULL;
        op->by_settings = true;
        snprintf(op->version, sizeof(op->version), "%s", c->manifest.version);
        snprintf(op->actor, sizeof(op->actor), "conf.d");
        operation_stamp(op, STEP_noticed, a->file->noticed_ns);
        operation_stamp_all(op, STEP_verified, STEP_unpacked);
        events_note_operation(op);
        return op;
}

static bool serves(const struct candidate *c) {
        return c->module->active == c && c->state == CANDIDATE_ACTIVE && module_wanted(c->module) == c;
}

/* The same bytes again: to drop them is to choose them. */
static void admission_same(struct admission *a, struct candidate *c) {
        struct operation *op = a->operation;

        a->file->fault = FAULT_NONE;
        a->file->reason[0] = '\0';
        if (op && !op->on_end && c->operation && c->operation->on_end) {
                operation_fail(op, FAULT_SUPERSEDED, "the same is being deployed already");
        } else if ((a->arrived || op) && !serves(c)) {
                candidate_choose_again(c, op, a->file->choice ? a->file->choice : a->manager->next_choice++);
        } else if (op) {
                op->unchanged = true;
                operation_stamp_all(op, STEP_forked, STEP_routed);
                operation_done(op);
        }
        lifecycle_reconcile(c->module);
        admission_settle(a);
}

static bool is_restart(const struct operation *op) {
        return op && op->kind == OPERATION_RESTART;
}

/* For a restart what serves is not the same: another takes its place. What does not serve is only chosen again. */
static bool is_same(const struct admission *a, const struct candidate *before) {
        if (strcmp(before->sha256, a->sha256) != 0 || before->conf != a->conf)
                return false;
        return !is_restart(a->operation) || !serves(before);
}

void admission_accept(struct admission *a) {
        struct drop_file *f = a->file;
        struct module *mod;
        struct candidate *c, *before = f->candidate;
        struct operation *op = a->operation;

        if (before && is_same(a, before)) {
                admission_same(a, before);
                return;
        }
        if (a->manager->stopping) {
                operation_fail(op, FAULT_STOPPING, "the base is stopping");
                admission_settle(a);
                return;
        }
        mod = module_get(a->manager, a->name);
        c = mod ? candidate_new(mod, &a->manifest, a->sha256, a->package) : NULL;
        if (!c) {
                admission_refuse(a, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        a->package = -1;
        snprintf(mod->of, sizeof(mod->of), "%s", f->alias[0] ? a->package_name : "");
        snprintf(c->signed_by, sizeof(c->signed_by), "%s", a->signed_by);
        c->conf = a->conf;
        if (before) {
                f->candidate = NULL;
                before->file = NULL;
                before->replaced_in = f;
                if (!strcmp(before->sha256, c->sha256) && !is_restart(op))
                        log_notice("%s %s: %s has changed: another worker takes over", mod->name, c->manifest.version, a->shown);
        }
        f->candidate = c;
        c->file = f;
        f->fault = FAULT_NONE;
        f->reason[0] = '\0';
        candidate_place(a, c, before);
        if (before && !op && !strcmp(before->sha256, c->sha256))
                op = operation_of_settings(a, c);
        c->operation = op;
        admission_free(a);
        lifecycle_reconcile(mod);
        if (before)
                lifecycle_on_gone(before);
        drop_on_settled(f);
}
