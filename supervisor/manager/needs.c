/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits for a service. Nobody is started for it and nothing is polled: every
 * change of some module's state looks again at those that wait, which are few.
 */
#include "supervisor/manager/needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/manifest-calls.h"
#include "ipc/cleanup.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/replicas.h"

static bool service_is_up(const struct manager *m, const char *service) {
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (mod->active && manifest_provides(&mod->active->manifest, service) && replicas_serve(mod->active))
                        return true;
        }
        return false;
}

/* What is to provide it, or would if it had not failed; NULL when nothing does. */
static struct candidate *provider_of(const struct manager *m, const char *service) {
        struct candidate *c, *failed = NULL;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                c = module_wanted(mod);
                if (c && manifest_provides(&c->manifest, service))
                        return c;
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->file && c->failed && manifest_provides(&c->manifest, service))
                                failed = c;
                }
        }
        return failed;
}

static const char *missing(const struct candidate *c) {
        const struct text_list *needs = &c->manifest.calls_needs;

        for (size_t i = 0; i < needs->n; i++) {
                if (!service_is_up(c->module->manager, needs->items[i]))
                        return needs->items[i];
        }
        return NULL;
}

/* Is somebody on the way who will provide it? */
static bool is_coming(const struct candidate *provider) {
        return provider && provider->state != CANDIDATE_BROKEN && provider->state != CANDIDATE_QUARANTINED && !needs_waits(provider);
}

bool needs_waits(const struct candidate *c) {
        return (c->state == CANDIDATE_RESOLVED || c->state == CANDIDATE_ACTIVE) && c->fault == FAULT_NEEDS_SERVICE;
}

bool needs_wait(struct candidate *c) {
        const char *service = missing(c);
        bool before = needs_waits(c);
        const struct candidate *provider;
        char reason[320];

        if (!service)
                return false;
        provider = provider_of(c->module->manager, service);
        if (provider)
                snprintf(reason, sizeof(reason), "waits for the service %s ([calls] needs): the module %s is %s", service,
                         provider->module->name, needs_waits(provider) ? "waiting itself" : state_name(provider->state));
        else
                snprintf(reason, sizeof(reason), "waits for the service %s ([calls] needs): no module provides it", service);
        candidate_on(c, CANDIDATE_ON_wait, FAULT_NEEDS_SERVICE, reason);
        if (!is_coming(provider)) {
                operation_speak(c->operation);
                operation_fail(TAKE_PTR(c->operation), FAULT_NEEDS_SERVICE, reason);
        }
        if (!before)
                needs_look(c->module->manager); /* others may wait for this one */
        return true;
}

/* Circles ------------------------------------------------------------------------------------------------------------ */

/* What would have to be up before the service is: of the module in question itself `c`, of others what serves, or else is wanted. */
static const struct candidate *provider_beside(const struct candidate *c, const char *service) {
        struct module *mod;

        TAILQ_FOREACH(mod, &c->module->manager->modules, entry) {
                const struct candidate *p = mod == c->module ? c : mod->active ? mod->active : module_wanted(mod);

                if (p && manifest_provides(&p->manifest, service))
                        return p;
        }
        return NULL;
}

static void prepend(char *path, size_t size, const char *name) {
        char *rest = strdup(path);

        if (rest)
                snprintf(path, size, " -> %s%s", name, rest);
        free(rest);
}

/* Do the needs of `from` lead to c? Then path is " -> NAME -> ... -> c". */
static bool leads_to(const struct candidate *from, const struct candidate *c, char *path, size_t size) {
        const struct text_list *needs = &from->manifest.calls_needs;

        from->module->seen = true;
        for (size_t i = 0; i < needs->n; i++) {
                const struct candidate *p = provider_beside(c, needs->items[i]);

                if (!p || (p != c && (p->module->seen || !leads_to(p, c, path, size))))
                        continue;
                prepend(path, size, p->module->name);
                return true;
        }
        return false;
}

bool needs_circle(const struct candidate *c, char *ret_reason, size_t size) {
        struct module *mod;
        char path[400] = "";

        TAILQ_FOREACH(mod, &c->module->manager->modules, entry)
        mod->seen = false;
        if (!leads_to(c, c, path, sizeof(path)))
                return false;
        snprintf(ret_reason, size, "[calls] needs go round in a circle: %s%s", c->module->name, path);
        return true;
}

/* The others may have changed: then it is what it was chosen to be. */
static bool leaves_circle(struct candidate *c) {
        char reason[512];

        if (!c->file || !c->failed || c->fault != FAULT_NEEDS_CIRCLE || needs_circle(c, reason, sizeof(reason)))
                return false;
        candidate_choose(c, c->choice);
        return true;
}

/* Looking again ------------------------------------------------------------------------------------------------------ */

static bool one_waits(const struct module *mod) {
        struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (needs_waits(c) || leaves_circle(c))
                        return true;
        }
        return false;
}

void needs_look(struct manager *m) {
        struct module *mod, *next;

        for (mod = TAILQ_FIRST(&m->modules); mod; mod = next) {
                next = TAILQ_NEXT(mod, entry);
                if (one_waits(mod))
                        lifecycle_reconcile(mod);
        }
}
