/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call finds its instance.
 *
 * Choosing, reserving and committing is one step without a wait in it: of the
 * instances with an open edge the one with the fewest calls of ours in flight is
 * chosen (of equals the one that sleeps on our core, ipc/load.c), and the call is
 * in its ring before anything else happens. Whatever
 * cannot be placed at once waits in its provider's queue, and after any wait is
 * chosen for again:
 *
 *   no edge is open yet        the manager is asked, the answer pumps the queue
 *   all instances are full     a reply pumps the queue
 *   none is ACTIVE, but one is expected (starting, restarting)
 *                              a change of the directory pumps the queue
 *   nothing is to be expected  UNAVAILABLE at once
 *
 * The queue needs no bound of its own: each call in it holds a coroutine, and of
 * those there are no more than requests in flight. As long as anybody waits, the
 * manager is asked to tell of changes; its wish is not lost with the manager, for
 * the next one sends another directory.
 *
 * The gateway does the same for HTTP requests (supervisor/gateway/upstream.c).
 */
#include "libmodule/provider.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

#define BUCKETS 64u
#define ASK_AGAIN_NS (10 * NS_PER_S)
#define RETRY_NS (10 * NS_PER_MS)

static struct provider *providers;
static struct method_ref *refs[BUCKETS];

/* Names -------------------------------------------------------------------------------------------------------------- */

static struct provider *provider_of(uint32_t module);

/* FNV-1a */
static uint32_t hash_of(const char *name) {
        uint32_t hash = UINT32_C(2166136261);

        for (; *name; name++)
                hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
        return hash;
}

static struct method_ref *ref_get(const char *name) {
        uint32_t hash = hash_of(name);
        struct method_ref *ref = refs[hash % BUCKETS];
        size_t size;

        while (ref && (ref->hash != hash || strcmp(ref->name, name) != 0))
                ref = ref->next;
        if (ref)
                return ref;
        size = strlen(name) + 1;
        ref = calloc(1, sizeof(*ref) + size);
        if (!ref)
                return NULL;
        memcpy(ref->name, name, size);
        ref->hash = hash;
        ref->next = refs[hash % BUCKETS];
        refs[hash % BUCKETS] = ref;
        return ref;
}

int method_resolve(const char *name, struct method_ref **ret_ref) {
        const struct directory_table *t = &the_worker.bus.table;
        const struct directory_module *m;
        struct method_ref *ref;
        uint32_t module;
        int error;

        /* Names that nobody provides are not kept: a module may make up any number of them. */
        error = directory_find_method(t, name, &module);
        if (error)
                return error;
        ref = ref_get(name);
        if (!ref)
                return ERROR_NO_MEMORY;
        ref->provider = provider_of(module);
        if (!ref->provider)
                return ERROR_NO_MEMORY;
        m = &t->modules[module];
        ref->first_method = m->first_method;
        ref->id = directory_method_id(t, m->first_method, m->n_methods, name);
        ref->idempotent = t->methods[m->first_method + ref->id - 1].flags & DIRECTORY_METHOD_IDEMPOTENT;
        ref->version = the_worker.bus.version;
        *ret_ref = ref;
        return 0;
}

/* As it was resolved before, when the directory is still the same. */
static int resolve(const char *name, struct method_ref **ret_ref) {
        uint32_t hash = hash_of(name);
        struct method_ref *ref = refs[hash % BUCKETS];

        while (ref && (ref->hash != hash || strcmp(ref->name, name) != 0))
                ref = ref->next;
        if (!ref || ref->version != the_worker.bus.version)
                return method_resolve(name, ret_ref);
        *ret_ref = ref;
        return 0;
}

uint16_t method_id(struct method_ref *ref, const struct target *target) {
        if (ref->version == the_worker.bus.version && ref->first_method == target->first_method)
                return ref->id;
        return directory_method_id(&the_worker.bus.table, target->first_method, target->n_methods, ref->name);
}

/* Choosing ----------------------------------------------------------------------------------------------------------- */

/* Who runs beside the chosen version is there for those that name it. */
static bool may_take(const struct target *t, const char *version) {
        return version ? !strcmp(version, t->version) : !t->beside;
}

static struct target *choose(const struct provider *p, const char *version) {
        int here = the_worker.bus.prefer_near && p->n_active > 1 ? sched_getcpu() : -1;
        struct load_choice choice = { 0 };
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (!target_usable(t) || !may_take(t, version))
                        continue;
                load_consider(&choice, t, &t->load, here >= 0 && edge_peer_cpu(t->edge) == here);
        }
        return load_choose(&choice);
}

bool provider_has_other(const struct provider *p, const struct target *other, const char *version) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t != other && target_usable(t) && may_take(t, version))
                        return true;
        }
        return false;
}

/* Is it sensible to wait? */
static bool expected(const struct provider *p) {
        return p->present && (p->n_active || p->module.up);
}

static bool has_version(const struct provider *p, const char *version) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->active && !strcmp(t->version, version))
                        return true;
        }
        return false;
}

static uint32_t count_asked(struct provider *p, uint64_t now) {
        struct target *t;
        uint32_t n = 0;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->state == TARGET_ASKED && now > t->asked_ns + ASK_AGAIN_NS)
                        target_forget_ask(t);
                n += t->state == TARGET_ASKED;
        }
        return n;
}

/* Who runs beside is asked only for those that name it. */
static bool is_waited_for(const struct provider *p, const struct target *t) {
        const struct call *call;

        if (!t->beside)
                return true;
        TAILQ_FOREACH(call, &p->waiting, entry) {
                if (may_take(t, call->version))
                        return true;
        }
        return false;
}

/* Asks for edges: as many as calls wait, and one more, for somebody may not answer. When somebody cannot be asked just now, a
 * deadline looks again. */
static void want_edges(struct provider *p) {
        uint64_t now = clock_now_ns();
        uint32_t n_asked = count_asked(p, now);
        struct target *t;
        bool again = false;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (n_asked <= p->n_waiting && target_askable(t, now) && is_waited_for(p, t)) {
                        target_ask(t, now);
                        n_asked += t->state == TARGET_ASKED;
                }
                again |= t->state == TARGET_COLD && t->active && t->retry_ns > now;
        }
        if (again)
                deadline_set(wait_deadlines(), &p->retry, now + RETRY_NS);
}

int provider_error(const struct provider *p) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->state == TARGET_OPEN && t->active)
                        return ERROR_OVERLOADED;
        }
        return ERROR_UNAVAILABLE;
}

/* The queue ---------------------------------------------------------------------------------------------------------- */

static void waiting_add(struct call *call, bool first) {
        struct provider *p = call->provider;

        call->state = CALL_WAITING;
        call->target = NULL;
        if (first)
                TAILQ_INSERT_HEAD(&p->waiting, call, entry);
        else
                TAILQ_INSERT_TAIL(&p->waiting, call, entry);
        p->n_waiting++;
}

void provider_forget(struct call *call) {
        TAILQ_REMOVE(&call->provider->waiting, call, entry);
        call->provider->n_waiting--;
}

void provider_take_back(struct call *call) {
        waiting_add(call, true);
}

/* The manager gives no edge to any of them. */
static bool denied(const struct provider *p) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->refused == ERROR_DENIED && t->refused_version == the_worker.bus.version)
                        return true;
        }
        return false;
}

/* [limits] edges keeps all who may take it from being reached: an enum edge_limit. Else somebody can be, or may be when he is asked. */
static uint32_t limited(const struct provider *p, const char *version) {
        uint32_t limit = EDGE_LIMIT_NONE;
        uint64_t now = clock_now_ns();
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (!t->active || !may_take(t, version))
                        continue;
                if (t->state != TARGET_COLD || !t->limit || t->retry_ns <= now)
                        return EDGE_LIMIT_NONE;
                limit = t->limit;
        }
        return limit;
}

static bool give_up(struct call *call) {
        struct provider *p = call->provider;
        bool named = call->version && has_version(p, call->version);
        uint32_t limit = limited(p, call->version);

        if (denied(p))
                call_abandon(call, ERROR_DENIED, "the manager gives no edge to %s: [calls] allow does not list it", p->module.name);
        else if (!p->present)
                call_abandon(call, ERROR_NO_SERVICE, "the module %s is gone", p->module.name);
        else if (!named && !expected(p))
                call_abandon(call, ERROR_UNAVAILABLE, "no instance of %s is ready and none is expected", p->module.name);
        else if (call->version && !named && p->n_active)
                call_abandon(call, ERROR_UNAVAILABLE, "no instance of %s has version %s", p->module.name, call->version);
        else if (limit)
                call_abandon(call, ERROR_UNAVAILABLE, "module.ini [limits] edges of %s does not allow one more connection",
                             limit == EDGE_LIMIT_CALLER ? the_worker.start.settings->name : p->module.name);
        else
                return false;
        return true;
}

void provider_pump(struct provider *p) {
        struct call *call, *next;

        for (call = TAILQ_FIRST(&p->waiting); call; call = next) {
                struct target *t = choose(p, call->version);

                next = TAILQ_NEXT(call, entry);
                if (!t) {
                        give_up(call);
                        continue;
                }
                provider_forget(call);
                if (!target_send(t, call)) {
                        /* What it had has come back into the queue. */
                        waiting_add(call, true);
                        next = TAILQ_FIRST(&p->waiting);
                }
        }
        if (!p->n_waiting)
                return;
        want_edges(p);
        bus_watch(&the_worker.bus);
}

void providers_pump(void) {
        for (struct provider *p = providers; p; p = p->next) {
                if (p->n_waiting)
                        provider_pump(p);
        }
}

void provider_submit(struct call *call) {
        struct provider *p;
        struct target *t;
        int error;

        error = resolve(call->method, &call->ref);
        if (error) {
                call->state = CALL_NEW;
                call_fail(call, error, "%s", error_info(error)->meaning);
                return;
        }
        p = call->provider = call->ref->provider;
        call->idempotent |= call->ref->idempotent;
        t = p->n_waiting ? NULL : choose(p, call->version);
        if (t && target_send(t, call)) {
                if (t->load.in_flight > 1)
                        want_edges(p);
                return;
        }
        waiting_add(call, false);
        provider_pump(p);
}

static void on_retry(struct deadline *deadline) {
        provider_pump((struct provider *)((char *)deadline - offsetof(struct provider, retry)));
}

void provider_tell_asked(struct provider *p) {
        struct target *t;

        TAILQ_FOREACH(t, &p->targets, entry) {
                if (t->state == TARGET_ASKED)
                        target_timed_out(t);
        }
}

/* The directory ------------------------------------------------------------------------------------------------------ */

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

static void take_module(struct provider *p, uint32_t index) {
        const struct directory_table *t = &the_worker.bus.table;

        p->module = t->modules[index];
        p->present = true;
        for (uint32_t i = 0; i < p->module.n_instances; i++)
                take_target(p, &t->instances[p->module.first_instance + i]);
}

static struct provider *provider_of(uint32_t index) {
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

/* Edges -------------------------------------------------------------------------------------------------------------- */

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
        struct method_ref *ref;
        struct target *t;

        while ((p = providers)) {
                providers = p->next;
                while ((t = TAILQ_FIRST(&p->targets)))
                        target_free(t);
                deadline_deinit(wait_deadlines(), &p->retry);
                free(p);
        }
        for (uint32_t i = 0; i < BUCKETS; i++) {
                while ((ref = refs[i])) {
                        refs[i] = ref->next;
                        free(ref);
                }
        }
}
