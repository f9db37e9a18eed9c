/* SPDX-License-Identifier: Apache-2.0
 *
 * Building a directory table out of what is active.
 */
#include "supervisor/manager/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/manifest-calls.h"
#include "conf/manifest-routes.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/strategy.h"
#include "supervisor/manager/versions.h"

struct methods_run {
        uint32_t first, n;
};

/* All methods of a version, in the order of their ids; none when there is no room for all. */
static struct methods_run add_methods(struct directory_table *t, const struct manifest *man) {
        struct methods_run run = { .first = t->n_methods };
        bool idempotent;
        char name[MANIFEST_METHOD_SIZE];

        if (manifest_n_methods(man) > DIRECTORY_METHODS_MAX - t->n_methods)
                return run;
        while (manifest_method(man, run.n + 1, name, &idempotent)) {
                struct directory_method *d = &t->methods[t->n_methods++];

                *d = (struct directory_method){ .flags = idempotent ? DIRECTORY_METHOD_IDEMPOTENT : 0 };
                memcpy(d->name, name, sizeof(name));
                run.n++;
        }
        return run;
}

static void add_instances(struct directory_table *t, const struct candidate *c, uint32_t module, struct methods_run run) {
        bool active = c == c->module->active, beside = strategy_beside(c);
        struct instance *i;

        TAILQ_FOREACH(i, &c->instances, entry) {
                struct directory_instance *d;
                bool serves = (active || beside) && i->state == INSTANCE_READY && !i->retire;

                if (t->n_instances == DIRECTORY_INSTANCES_MAX || !i->id)
                        continue;
                if (!serves && (i->state < INSTANCE_READY || i->state > INSTANCE_DRAINING))
                        continue;
                d = &t->instances[t->n_instances++];
                *d = (struct directory_instance){
                        .id = i->id,
                        .module = module,
                        .state = serves ? DIRECTORY_ACTIVE : DIRECTORY_DRAINING,
                        .weight = beside ? 0 : 100, /* 0: for those that ask for its version */
                        .first_method = run.first,
                        .n_methods = run.n,
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

static int compare_settings(const void *a, const void *b) {
        const struct directory_setting *x = a, *y = b;
        size_t m = strlen(x->path), n = strlen(y->path);

        if (m != n)
                return m < n ? 1 : -1;
        return strcmp(x->path, y->path);
}

/* The longest path first; none when there is no room for all. */
static void add_settings(struct directory_table *t, struct directory_module *d, const struct manifest *man) {
        d->first_setting = t->n_settings;
        if (man->n_routes > DIRECTORY_SETTINGS_MAX - t->n_settings) {
                log_error("the directory is full: the routes of module %s have its own limits", d->name);
                return;
        }
        for (size_t i = 0; i < man->n_routes; i++) {
                const struct manifest_route *route = &man->routes[i];
                struct directory_setting *s = &t->settings[t->n_settings++];

                *s = (struct directory_setting){
                        .body_max = manifest_route_body(man, route),
                        .timeout_ms = (uint32_t)manifest_route_timeout_ms(man, route),
                        .flags = route->stream ? DIRECTORY_SETTING_STREAM : 0,
                };
                snprintf(s->path, sizeof(s->path), "%s", route->path);
        }
        d->n_settings = t->n_settings - d->first_setting;
        qsort(t->settings + d->first_setting, d->n_settings, sizeof(*t->settings), compare_settings);
}

static void add_module(struct directory_table *t, const struct module *mod) {
        const struct candidate *serving = mod->active ? mod->active : module_wanted(mod), *c;
        struct directory_module *d;
        struct methods_run serves, run;
        uint32_t index = t->n_modules;

        if (!serving || index == DIRECTORY_MODULES_MAX)
                return;
        d = &t->modules[t->n_modules++];
        serves = add_methods(t, &serving->manifest);
        *d = (struct directory_module){
                .first_method = serves.first,
                .n_methods = serves.n,
                .first_instance = t->n_instances,
                .request_timeout_ms = (uint32_t)serving->manifest.request_timeout_ms,
                .in_flight_max = (uint32_t)serving->manifest.in_flight,
                .body_max = serving->manifest.body,
                .up = serving->state != CANDIDATE_QUARANTINED || version_gives_way(mod),
        };
        snprintf(d->name, sizeof(d->name), "%s", mod->name);
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (TAILQ_EMPTY(&c->instances))
                        continue;
                run = c == serving ? serves : add_methods(t, &c->manifest);
                add_instances(t, c, index, run);
        }
        d->n_instances = t->n_instances - d->first_instance;
        add_routes(t, &serving->manifest, index);
        add_settings(t, d, &serving->manifest);
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

/* Made once, for as many as there may be: what is never filled is never touched. */
static bool table_begin(struct directory_table *t) {
        if (!t->modules)
                t->modules = calloc(DIRECTORY_MODULES_MAX, sizeof(*t->modules));
        if (!t->routes)
                t->routes = calloc(DIRECTORY_ROUTES_MAX, sizeof(*t->routes));
        if (!t->instances)
                t->instances = calloc(DIRECTORY_INSTANCES_MAX, sizeof(*t->instances));
        if (!t->methods)
                t->methods = calloc(DIRECTORY_METHODS_MAX, sizeof(*t->methods));
        if (!t->settings)
                t->settings = calloc(DIRECTORY_SETTINGS_MAX, sizeof(*t->settings));
        t->n_modules = t->n_routes = t->n_instances = t->n_methods = t->n_settings = 0;
        return t->modules && t->routes && t->instances && t->methods && t->settings;
}

void publish(struct manager *m) {
        struct directory_table *t = &m->table;
        bool first = !m->generation;
        uint64_t generation;
        struct module *mod;

        if (m->restoring || !table_begin(t))
                return;
        TAILQ_FOREACH(mod, &m->modules, entry)
        add_module(t, mod);
        qsort(t->routes, t->n_routes, sizeof(*t->routes), compare_routes);
        generation = directory_publish(m->directory, t);
        if (!generation) {
                /* The last one stays. */
                log_error("the directory is full: %u modules, %u routes, %u instances", t->n_modules, t->n_routes, t->n_instances);
                return;
        }
        m->generation = generation;
        if (first)
                directory_offer_all(m);
        peers_changed(m);
}

static bool manifests_overlap(const struct manifest *a, const struct manifest *b, char *ret_route, size_t size) {
        size_t i;

        if (!a->prefix || !b->prefix || strcmp(a->prefix, b->prefix) != 0)
                return false;
        if (!a->hosts.n && !b->hosts.n) {
                snprintf(ret_route, size, "route %s", a->prefix);
                return true;
        }
        for (i = 0; i < a->hosts.n; i++) {
                if (text_list_has(&b->hosts, a->hosts.items[i])) {
                        snprintf(ret_route, size, "route %s%s", a->hosts.items[i], a->prefix);
                        return true;
                }
        }
        return false;
}

static bool manifests_conflict(const struct manifest *a, const struct manifest *b, char *ret_what, size_t size) {
        const char *service = manifest_shared_service(a, b);

        if (service)
                snprintf(ret_what, size, "service %s", service);
        return service || manifests_overlap(a, b, ret_what, size);
}

struct module *publish_conflict(struct manager *m, const struct manifest *man, const char *name, char *ret_what, size_t size) {
        struct candidate *c;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (!strcmp(mod->name, name))
                        continue;
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->file && manifests_conflict(man, &c->manifest, ret_what, size))
                                return mod;
                }
        }
        return NULL;
}
