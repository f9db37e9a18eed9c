/* SPDX-License-Identifier: Apache-2.0
 *
 * Building a directory table out of what is active.
 */
#include "supervisor/manager/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/common/log.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/lifecycle.h"

static void add_instances(struct directory_table *t, const struct candidate *c, uint32_t module, bool active) {
        struct instance *i;

        TAILQ_FOREACH(i, &c->instances, entry) {
                struct directory_instance *d;
                bool serves = active && i->state == INSTANCE_READY && !i->retire;

                if (t->n_instances == DIRECTORY_INSTANCES_MAX || !i->id)
                        continue;
                if (!serves && (i->state < INSTANCE_READY || i->state > INSTANCE_DRAINING))
                        continue;
                d = &t->instances[t->n_instances++];
                *d = (struct directory_instance){
                        .id = i->id, .module = module, .state = serves ? DIRECTORY_ACTIVE : DIRECTORY_DRAINING, .weight = 100
                };
                snprintf(d->version, sizeof(d->version), "%s", c->manifest.version);
        }
}

static void add_routes(struct directory_table *t, const struct manifest *man, uint32_t module) {
        size_t n = 0;

        if (!man->prefix)
                return;
        do {
                struct directory_route *r;

                if (t->n_routes == DIRECTORY_ROUTES_MAX)
                        return;
                r = &t->routes[t->n_routes++];
                *r = (struct directory_route){ .module = module, .flags = man->strip_prefix ? DIRECTORY_ROUTE_STRIP : 0 };
                snprintf(r->prefix, sizeof(r->prefix), "%s", man->prefix);
                if (man->hosts.n)
                        snprintf(r->host, sizeof(r->host), "%s", man->hosts.items[n]);
        } while (++n < man->hosts.n);
}

static void add_module(struct directory_table *t, const struct module *mod) {
        const struct candidate *serving = mod->active ? mod->active : module_wanted(mod), *c;
        struct directory_module *d;
        uint32_t index = t->n_modules;

        if (!serving || index == DIRECTORY_MODULES_MAX)
                return;
        d = &t->modules[t->n_modules++];
        *d = (struct directory_module){
                .first_instance = t->n_instances,
                .request_timeout_ms = (uint32_t)serving->manifest.request_timeout_ms,
                .in_flight_max = (uint32_t)serving->manifest.in_flight,
                .body_max = serving->manifest.body,
                .up = serving->state != CANDIDATE_QUARANTINED,
        };
        snprintf(d->name, sizeof(d->name), "%s", mod->name);
        TAILQ_FOREACH(c, &mod->candidates, entry)
        add_instances(t, c, index, c == mod->active);
        d->n_instances = t->n_instances - d->first_instance;
        add_routes(t, &serving->manifest, index);
}

/* Exact hosts before any host, then the longest prefix first. */
static int compare_routes(const void *a, const void *b) {
        const struct directory_route *x = a, *y = b;
        int r = strcmp(y->host, x->host);
        size_t m = strlen(x->prefix), n = strlen(y->prefix);

        if (r)
                return r;
        if (m != n)
                return m < n ? 1 : -1;
        return strcmp(x->prefix, y->prefix);
}

void publish(struct manager *m) {
        struct directory_table t = { 0 };
        bool first = !m->generation;
        struct module *mod;
        struct gateway *g;

        t.modules = calloc(DIRECTORY_MODULES_MAX, sizeof(*t.modules));
        t.routes = calloc(DIRECTORY_ROUTES_MAX, sizeof(*t.routes));
        t.instances = calloc(DIRECTORY_INSTANCES_MAX, sizeof(*t.instances));
        if (t.modules && t.routes && t.instances && !m->restoring) {
                TAILQ_FOREACH(mod, &m->modules, entry)
                add_module(&t, mod);
                qsort(t.routes, t.n_routes, sizeof(*t.routes), compare_routes);
                m->generation = directory_publish(m->directory, &t);
                if (!m->generation)
                        log_error("the directory is full: %u modules, %u routes, %u instances", t.n_modules, t.n_routes, t.n_instances);
                if (first) {
                        TAILQ_FOREACH(g, &m->gateways, entry)
                        directory_send(m, g->link);
                }
                gateways_changed(m);
        }
        directory_table_deinit(&t);
}

static bool manifests_overlap(const struct manifest *a, const struct manifest *b, char *ret_route, size_t size) {
        size_t i;

        if (!a->prefix || !b->prefix || strcmp(a->prefix, b->prefix) != 0)
                return false;
        if (!a->hosts.n && !b->hosts.n) {
                snprintf(ret_route, size, "%s", a->prefix);
                return true;
        }
        for (i = 0; i < a->hosts.n; i++) {
                if (text_list_has(&b->hosts, a->hosts.items[i])) {
                        snprintf(ret_route, size, "%s%s", a->hosts.items[i], a->prefix);
                        return true;
                }
        }
        return false;
}

struct module *publish_conflict(struct manager *m, const struct manifest *man, const char *name, char *ret_route, size_t size) {
        struct candidate *c;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (!strcmp(mod->name, name))
                        continue;
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->file && manifests_overlap(man, &c->manifest, ret_route, size))
                                return mod;
                }
        }
        return NULL;
}
