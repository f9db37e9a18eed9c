/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits for a service. Nobody is started for it and nothing is polled: every
 * change of some module's state looks again at those that wait, which are few.
 */
#include "supervisor/manager/needs.h"

#include <stdio.h>
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

/* What is to provide it; NULL when nothing does. */
static struct candidate *provider_of(const struct manager *m, const char *service) {
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                struct candidate *c = module_wanted(mod);

                if (c && manifest_provides(&c->manifest, service))
                        return c;
        }
        return NULL;
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
        if (!is_coming(provider))
                operation_fail(TAKE_PTR(c->operation), FAULT_NEEDS_SERVICE, reason);
        if (!before)
                needs_look(c->module->manager); /* others may wait for this one */
        return true;
}

static bool one_waits(const struct module *mod) {
        const struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (needs_waits(c))
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
