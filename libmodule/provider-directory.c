/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules that were called and their instances, as the directory has them and as
 * the manager answers for them.
 */
#include "libmodule/provider.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

static struct provider *providers;

/* Instances -------------------------------------------------------------------------------------------------------- */

static struct target *find_target(struct provider *p, uint64_t id) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->id == id)
                        return t;
        }
        return NULL;
}

/* A newcomer begins where the others are, not with all that they were given in their lives. */
static uint64_t served_by_others(const struct provider *p) {
        uint64_t least = 0;
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->active && (!least || t->load.served < least))
                        least = t->load.served;
        }
        return least;
}

static void take_target(struct provider *p, const struct directory_instance *entry) {
        struct target *t = find_target(p, entry->id);

        if (!t) {
                uint64_t served = served_by_others(p);

                t = target_new(p, entry->id);
                if (!t)
                        return;
                t->load.served = served;
        }
        memcpy(t->version, entry->version, sizeof(t->version));
        t->first_method = entry->first_method;
        t->n_methods = entry->n_methods;
        t->listed = true;
        t->active = entry->state == DIRECTORY_ACTIVE;
        t->beside = !entry->weight;
        t->load.weight = MAX(entry->weight, 1u);
}

static void mark_absent(struct provider *p) {
        struct target *t;

        p->present = false;
        TAILQ_FOREACH(t, &p->targets, entry)
        t->listed = t->active = false;
}

/* Whoever is on the way out and has nothing of ours any more is left. */
void provider_settle(struct provider *p) {
        struct target *t, *next;

        p->n_active = 0;
        for (t = TAILQ_FIRST(&p->targets); t; t = next) {
                next = TAILQ_NEXT(t, entry);
                if (!t->active && TAILQ_EMPTY(&t->sent))
                        target_close(t);
                if (!t->listed && t->state == TARGET_COLD)
                        target_free(t);
                else
                        p->n_active += t->active && !t->beside;
        }
}

/* Modules ---------------------------------------------------------------------------------------------------------- */

static void take_module(struct provider *p, uint32_t index) {
        const struct directory_table *t = &the_worker.bus.table;

        p->module = t->modules[index];
        p->present = true;
        for (uint32_t i = 0; i < p->module.n_instances; i++)
                take_target(p, &t->instances[p->module.first_instance + i]);
}

static void on_retry(struct deadline *deadline) {
        provider_pump((struct provider *)((char *)deadline - offsetof(struct provider, retry)));
}

struct provider *provider_get(uint32_t index) {
        const struct directory_module *module = &the_worker.bus.table.modules[index];
        struct provider *p = providers;

        while (p && strcmp(p->module.name, module->name) != 0)
                p = p->next;
        if (p)
                return p;
        p = calloc(1, sizeof(*p));
        if (!p || deadline_init(wait_deadlines(), &p->retry, on_retry) < 0) {
                free(p);
                return NULL;
        }
        TAILQ_INIT(&p->targets);
        TAILQ_INIT(&p->waiting);
        p->next = providers;
        providers = p;
        take_module(p, index);
        provider_settle(p);
        return p;
}

void providers_pump(void) {
        for (struct provider *p = providers; p; p = p->next) {
                if (p->n_waiting)
                        provider_pump(p);
        }
}

void providers_on_directory(void) {
        const struct directory_table *t = &the_worker.bus.table;

        for (struct provider *p = providers; p; p = p->next) {
                mark_absent(p);
                for (uint32_t i = 0; i < t->n_modules; i++) {
                        if (!strcmp(t->modules[i].name, p->module.name))
                                take_module(p, i);
                }
                provider_settle(p);
        }
        providers_pump();
}

/* The manager ------------------------------------------------------------------------------------------------------ */

void providers_on_manager(void) {
        struct target *t;

        for (struct provider *p = providers; p; p = p->next) {
                TAILQ_FOREACH(t, &p->targets, entry) {
                        t->refused_version = t->retry_ns = 0;
                        if (t->state == TARGET_ASKED)
                                target_forget_ask(t);
                }
        }
}

static struct target *find_asked(uint64_t request) {
        struct target *t;

        for (struct provider *p = providers; p; p = p->next) {
                TAILQ_FOREACH(t, &p->targets, entry) {
                        if (t->state == TARGET_ASKED && t->asked == request)
                                return t;
                }
        }
        return NULL;
}

void providers_on_edge(uint64_t request, int memory_fd, int bell_fd) {
        struct target *t = find_asked(request);

        if (!t) {
                fd_close(memory_fd);
                fd_close(bell_fd);
                return;
        }
        target_open(t, memory_fd, bell_fd);
        provider_pump(t->provider);
}

void providers_on_refused(uint64_t request, int error) {
        struct target *t = find_asked(request);

        if (!t)
                return;
        target_refused(t, error);
        provider_pump(t->provider);
}

void providers_on_limit(uint64_t request, uint32_t limit) {
        struct target *t = find_asked(request);

        if (!t)
                return;
        target_limited(t, limit);
        provider_pump(t->provider);
}

uint32_t providers_sweep(void) {
        uint32_t n_open = 0;
        struct target *t;

        for (struct provider *p = providers; p; p = p->next) {
                TAILQ_FOREACH(t, &p->targets, entry) {
                        /* It is told first: a release that the manager does not know of would count for ever. */
                        if (target_was_unused(t) && bus_released(&the_worker.bus, t->id))
                                target_close(t);
                        n_open += t->state == TARGET_OPEN;
                }
                provider_settle(p);
        }
        return n_open;
}

void providers_deinit(void) {
        struct provider *p;
        struct target *t;

        while ((p = providers)) {
                providers = p->next;
                while ((t = TAILQ_FIRST(&p->targets)))
                        target_free(t);
                deadline_deinit(wait_deadlines(), &p->retry);
                free(p);
        }
}
