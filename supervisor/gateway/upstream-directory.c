/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules that were asked for and their instances, as the directory has them and
 * as the manager answers for them.
 */
#include "supervisor/gateway/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "supervisor/gateway/file-channel.h"
#include "supervisor/gateway/instance.h"

#define TIMEOUT_DEFAULT_MS 30000u

/* Instances --------------------------------------------------------------------------------------------------------------- */

static struct instance *find_instance(struct upstream *u, uint64_t id) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->id == id)
                        return i;
        }
        return NULL;
}

/* A newcomer begins where the others are, not with all that they were given in their lives. */
static uint64_t served_by_others(const struct upstream *u) {
        uint64_t least = 0;
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->active && (!least || i->load.served < least))
                        least = i->load.served;
        }
        return least;
}

static void take_instance(struct upstream *u, const struct directory_instance *entry) {
        struct instance *i = find_instance(u, entry->id);

        if (!i) {
                uint64_t served = served_by_others(u);

                i = instance_new(u, entry->id);
                if (!i)
                        return;
                i->load.served = served;
        }
        i->first_method = entry->first_method;
        i->n_methods = entry->n_methods;
        i->listed = true;
        memcpy(i->version, entry->version, sizeof(i->version));
        i->active = entry->state == DIRECTORY_ACTIVE;
        i->beside = !entry->weight;
        i->load.weight = MAX(entry->weight, 1u);
}

/* Whoever is on the way out and has nothing of ours any more is left. */
void upstream_settle(struct upstream *u) {
        struct instance *i, *next;

        u->n_active = u->n_cold = 0;
        for (i = TAILQ_FIRST(&u->instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                if (!i->active && TAILQ_EMPTY(&i->sent))
                        instance_close(i);
                if (!i->listed && i->state == INSTANCE_COLD) {
                        instance_free(i);
                        continue;
                }
                u->n_active += i->active && !i->beside;
                u->n_cold += i->active && !i->beside && i->state != INSTANCE_OPEN;
        }
}

static void mark_absent(struct upstream *u) {
        struct instance *i;

        u->present = false;
        TAILQ_FOREACH(i, &u->instances, entry)
        i->listed = i->active = false;
}

/* Modules ----------------------------------------------------------------------------------------------------------------- */

static struct upstream *upstream_new(struct gateway *g, const struct directory_module *module) {
        struct upstream *u = calloc(1, sizeof(*u));

        if (!u)
                return NULL;
        u->gateway = g;
        u->module = *module;
        TAILQ_INIT(&u->instances);
        TAILQ_INIT(&u->waiting);
        u->next = g->upstreams;
        g->upstreams = u;
        return u;
}

static void take_module(struct upstream *u, const struct directory_table *t, uint32_t index) {
        const struct directory_module *module = &t->modules[index];

        mark_absent(u);
        for (size_t k = 1; k < N_ELEMENTS(u->places) && (u->module.n_settings || module->n_settings); k++)
                u->places[k] = NULL;
        u->module = *module;
        u->present = true;
        for (uint32_t k = 0; k < module->n_instances; k++)
                take_instance(u, &t->instances[module->first_instance + k]);
        upstream_settle(u);
}

struct upstream *upstream_use(struct gateway *g, uint32_t module) {
        const struct directory_table *t = &g->bus.table;
        struct upstream *u;

        if (module >= g->n_slots)
                return NULL; /* the map of this table could not be made */
        u = g->slots[module].upstream;
        if (!u) {
                u = upstream_new(g, &t->modules[module]);
                if (!u)
                        return NULL;
                g->slots[module].upstream = u;
                take_module(u, t, module);
        }
        u->n_users++;
        return u;
}

void upstream_unuse(struct upstream *u) {
        u->n_users--;
}

static struct counts_place *place_of(struct upstream *u, const struct directory_setting *s, uint32_t index) {
        if (!u->places[index])
                u->places[index] = counts_place(u->gateway->bus.counts, u->module.name, s ? s->path : "");
        return u->places[index];
}

static struct route_settings settings_of(struct upstream *u, const char *path) {
        const struct directory_table *t = &u->gateway->bus.table;
        const struct directory_setting *s = directory_setting_of(t, &u->module, path);
        struct route_settings settings = { .timeout_ms = u->module.request_timeout_ms, .body_max = u->module.body_max };

        if (s)
                settings = (struct route_settings){
                        .timeout_ms = s->timeout_ms, .body_max = s->body_max, .stream = s->flags & DIRECTORY_SETTING_STREAM, .own = true
                };
        if (!settings.timeout_ms)
                settings.timeout_ms = TIMEOUT_DEFAULT_MS;
        settings.place = place_of(u, s, s ? (uint32_t)(s - t->settings) - u->module.first_setting + 1 : 0);
        return settings;
}

int upstream_route(struct gateway *g, const char *host, const char **path, struct upstream **ret_upstream,
                   struct route_settings *ret_settings) {
        const struct directory_route *route = directory_match(&g->bus.table, host, *path);
        struct upstream *u;

        if (!route)
                return ERROR_NOT_FOUND;
        u = upstream_use(g, route->module);
        if (!u)
                return ERROR_NO_MEMORY;
        *ret_settings = settings_of(u, *path);
        if ((route->flags & DIRECTORY_ROUTE_STRIP) && route->prefix[1])
                *path += strlen(route->prefix);
        if (!**path)
                *path = "/";
        *ret_upstream = u;
        return 0;
}

/* The directory ----------------------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b) {
        const struct upstream_slot *x = a, *y = b;

        return strcmp(x->upstream->module.name, y->upstream->module.name);
}

/* All that were asked for, sorted by name. NULL when out of memory. */
static struct upstream_slot *sort_upstreams(const struct gateway *g, size_t *ret_n) {
        struct upstream_slot *sorted;
        struct upstream *u;
        size_t n = 0;

        for (u = g->upstreams; u; u = u->next)
                n++;
        sorted = calloc(MAX(n, (size_t)1), sizeof(*sorted));
        if (!sorted)
                return NULL;
        n = 0;
        for (u = g->upstreams; u; u = u->next)
                sorted[n++].upstream = u;
        qsort(sorted, n, sizeof(*sorted), compare_names);
        *ret_n = n;
        return sorted;
}

/* Which of those that were asked for is which module of the new table? 0 or -ENOMEM: then there are no slots. */
static int match_modules(struct gateway *g) {
        const struct directory_table *t = &g->bus.table;
        _cleanup_free_ struct upstream_slot *sorted = NULL;
        size_t n;

        g->slots = (free(g->slots), NULL);
        g->n_slots = 0;
        sorted = sort_upstreams(g, &n);
        if (!sorted)
                return -ENOMEM;
        g->slots = calloc(MAX(t->n_modules, 1u), sizeof(*g->slots));
        if (!g->slots)
                return -ENOMEM;
        g->n_slots = t->n_modules;
        for (uint32_t k = 0; n && k < t->n_modules; k++) {
                struct upstream wanted = { .module = t->modules[k] };
                struct upstream_slot key = { &wanted }, *found = bsearch(&key, sorted, n, sizeof(*sorted), compare_names);

                g->slots[k].upstream = found ? found->upstream : NULL;
        }
        return 0;
}

/* One that is neither in the directory nor used by anybody is forgotten. */
static void sweep(struct gateway *g) {
        struct upstream **link = &g->upstreams, *u;

        while ((u = *link)) {
                if (u->present || u->n_users || !TAILQ_EMPTY(&u->instances)) {
                        link = &u->next;
                        continue;
                }
                *link = u->next;
                free(u);
        }
}

int upstreams_on_directory(struct gateway *g) {
        struct upstream *u;
        int r;

        r = match_modules(g);
        for (u = g->upstreams; u; u = u->next)
                mark_absent(u);
        for (uint32_t k = 0; k < g->n_slots; k++) {
                if (g->slots[k].upstream)
                        take_module(g->slots[k].upstream, &g->bus.table, k);
        }
        for (u = g->upstreams; u; u = u->next) {
                if (!u->present)
                        upstream_settle(u);
        }
        sweep(g);
        return r;
}

/* The manager ------------------------------------------------------------------------------------------------------------- */

void upstreams_on_manager(struct gateway *g) {
        struct instance *i;

        for (struct upstream *u = g->upstreams; u; u = u->next) {
                TAILQ_FOREACH(i, &u->instances, entry) {
                        i->refused_version = i->retry_ns = 0;
                        if (i->state == INSTANCE_ASKED)
                                instance_forget_ask(i);
                }
        }
}

static struct instance *find_asked(struct gateway *g, uint64_t request) {
        struct instance *i;

        for (struct upstream *u = g->upstreams; u; u = u->next) {
                TAILQ_FOREACH(i, &u->instances, entry) {
                        if (i->state == INSTANCE_ASKED && i->asked == request)
                                return i;
                }
        }
        return NULL;
}

void upstreams_on_edge(struct gateway *g, uint64_t request, int memory_fd, int bell_fd) {
        struct instance *i = find_asked(g, request);

        if (!i) {
                fd_close(memory_fd);
                fd_close(bell_fd);
                return;
        }
        instance_open(i, memory_fd, bell_fd);
        upstream_settle(i->upstream);
}

bool upstreams_on_file_channel(struct gateway *g, uint64_t instance, int fd) {
        struct instance *i = NULL;

        for (struct upstream *u = g->upstreams; u && !i; u = u->next)
                i = find_instance(u, instance);
        if (i)
                return file_channel_open(i, fd);
        fd_close(fd);
        return false;
}

void upstreams_on_refused(struct gateway *g, uint64_t request, int error) {
        struct instance *i = find_asked(g, request);

        if (!i)
                return;
        instance_refused(i, error);
        upstream_settle(i->upstream);
}

uint32_t upstreams_sweep(struct gateway *g) {
        uint32_t n_open = 0;
        struct instance *i;

        for (struct upstream *u = g->upstreams; u; u = u->next) {
                TAILQ_FOREACH(i, &u->instances, entry) {
                        if (instance_was_unused(i))
                                instance_close(i);
                        n_open += i->state == INSTANCE_OPEN;
                }
                upstream_settle(u);
        }
        return n_open;
}

void upstreams_deinit(struct gateway *g) {
        struct upstream *u;
        struct instance *i;

        while ((u = g->upstreams)) {
                g->upstreams = u->next;
                while ((i = TAILQ_FIRST(&u->instances)))
                        instance_free(i);
                free(u);
        }
        free(g->slots);
        instances_free_dead(g);
}
