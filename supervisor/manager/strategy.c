/* SPDX-License-Identifier: Apache-2.0
 *
 * Strategies. Nothing is kept that could be wrong: who runs beside or rests follows
 * from what there is.
 */
#include "supervisor/manager/strategy.h"

#include "supervisor/manager/candidate.h"
#include "supervisor/manager/module.h"
#include "supervisor/manager/replicas.h"

static enum manifest_strategy strategy_of(const struct module *mod) {
        const struct candidate *c = mod->active ? mod->active : module_wanted(mod);

        return c ? c->manifest.strategy : MANIFEST_REPLACE;
}

static bool is_not_chosen(const struct candidate *c) {
        const struct module *mod = c->module;

        return !c->failed && c != mod->active && c != module_wanted(mod) && !mod->manager->stopping;
}

static bool is_other(const struct candidate *c) {
        return c->file && !c->superseded && is_not_chosen(c);
}

/* It runs until what takes its place does: its settings have changed, or what its file holds. */
static bool stands_in(const struct candidate *c) {
        const struct candidate *next = candidate_is_replaced(c) ? c->replaced_in->candidate : NULL;

        return next && next->state != CANDIDATE_ACTIVE && !next->superseded && is_not_chosen(c);
}

bool strategy_beside(const struct candidate *c) {
        return (is_other(c) || (stands_in(c) && replicas_serve(c))) && strategy_of(c->module) == MANIFEST_SIDE_BY_SIDE;
}

bool strategy_rests(const struct candidate *c) {
        const struct candidate *other;

        if (!is_other(c) || !c->served || c->state == CANDIDATE_QUARANTINED || strategy_of(c->module) != MANIFEST_STANDBY)
                return false;
        TAILQ_FOREACH(other, &c->module->candidates, entry) {
                if (is_other(other) && other->choice > c->choice)
                        return false;
        }
        return true;
}
