/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules: their versions, and which of them is wanted.
 */
#include "supervisor/manager/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/manager/candidate.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/of.h"

struct module *module_find(struct manager *m, const char *name) {
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (!strcmp(mod->name, name))
                        return mod;
        }
        return NULL;
}

struct module *module_get(struct manager *m, const char *name) {
        struct module *mod = module_find(m, name), *before;

        if (mod)
                return mod;
        mod = calloc(1, sizeof(*mod));
        if (!mod)
                return NULL;
        mod->manager = m;
        mod->history = history_get(name);
        snprintf(mod->name, sizeof(mod->name), "%s", name);
        TAILQ_INIT(&mod->candidates);
        TAILQ_FOREACH(before, &m->modules, entry) {
                if (strcmp(before->name, name) > 0) {
                        TAILQ_INSERT_BEFORE(before, mod, entry);
                        return mod;
                }
        }
        TAILQ_INSERT_TAIL(&m->modules, mod, entry);
        return mod;
}

void module_free_if_empty(struct module *mod) {
        if (!TAILQ_EMPTY(&mod->candidates) || mod->undeploy)
                return;
        if (!mod->manager->stopping && of_package(mod->manager, mod->name))
                return; /* it waits for its package */
        TAILQ_REMOVE(&mod->manager->modules, mod, entry);
        history_leave(mod->history);
        free(mod);
}

void module_forgive(struct module *mod) {
        struct candidate *c;

        if (module_wanted(mod) || mod->manager->stopping)
                return;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->failed)
                        candidate_on(c, CANDIDATE_ON_forgive, FAULT_NONE, "");
        }
}

struct candidate *module_wanted(const struct module *mod) {
        struct candidate *c, *best = NULL;

        if (mod->manager->stopping)
                return NULL;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!c->file || c->failed)
                        continue;
                if (!best || c->choice > best->choice)
                        best = c;
        }
        if (candidate_is_replaced(mod->active) && (!best || mod->active->choice > best->choice))
                return mod->active;
        return best;
}

enum candidate_state module_state(const struct module *mod, const char **ret_reason) {
        const struct candidate *c, *worst = NULL;

        if (mod->active) {
                *ret_reason = mod->active->reason;
                return mod->active->state;
        }
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!worst || state_badness(c->state) > state_badness(worst->state))
                        worst = c;
        }
        *ret_reason = worst ? worst->reason : "";
        return worst ? worst->state : CANDIDATE_STOPPED;
}
