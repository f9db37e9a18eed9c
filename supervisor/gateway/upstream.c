/* SPDX-License-Identifier: Apache-2.0
 *
 * How a request finds its instance.
 *
 * Choosing, reserving and committing is one step without a wait in it: the
 * instance with an open edge that has the fewest requests in flight is chosen
 * (of equals the one that sleeps on our core, ipc/load.c), and the request is in
 * its ring before anything else happens. Whatever cannot be
 * placed at once waits in its module's queue, and after any wait is chosen for
 * again:
 *
 *   no edge is open yet        the manager is asked, the answer pumps the queue
 *   all instances are full     a reply pumps the queue
 *   none is ACTIVE, but one is expected (starting, restarting)
 *                              a change of the directory pumps the queue
 *   nothing is to be expected  503 at once
 *
 * Requests come back into the queue, to its head, when their worker died, moved or
 * drained before it had begun them; that may happen any number of times, for the
 * deadline runs on. One that was begun is sent a second time, and not a third, if
 * its method may be done twice (request_may_repeat()).
 *
 * The queue is bounded, and each request in it has a deadline. As long as anybody
 * waits, the manager is asked to tell of changes, and the directory is looked at
 * every 50 ms besides: a manager that dies with our wish unread delays nobody.
 */
#include "supervisor/gateway/upstream.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/gateway/file-channel.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/problem.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/stream.h"

#define WAITING_MAX 1024u
#define TIMEOUT_DEFAULT_MS 30000u
#define ASK_AGAIN_NS (10 * NS_PER_S)

#define REQUEST_OF(deadline_) ((struct request *)((char *)(deadline_)-offsetof(struct request, deadline)))

const char *upstream_name(const struct upstream *u) {
        return u->module.name;
}

/* Choosing ---------------------------------------------------------------------------------------------------------------- */

/* Who runs beside the chosen version is there for those that name it. */
static bool may_take(const struct instance *i, const char *version) {
        return version ? !strcmp(version, i->version) : !i->beside;
}

static struct instance *choose(const struct upstream *u, const char *version) {
        int here = u->gateway->bus.prefer_near && u->n_active > 1 ? sched_getcpu() : -1;
        struct load_choice choice = { 0 };
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (instance_usable(i) && may_take(i, version))
                        load_consider(&choice, i, &i->load, here >= 0 && edge_peer_cpu(i->edge) == here);
        }
        return load_choose(&choice);
}

static bool has_version(const struct upstream *u, const char *version) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->active && !strcmp(version, i->version))
                        return true;
        }
        return false;
}

/* Is it sensible to wait? */
static bool is_expected(const struct upstream *u) {
        return u->present && (u->n_active || u->module.up);
}

static bool expected(const struct upstream *u, const struct request *request) {
        if (request->version && has_version(u, request->version))
                return true;
        return is_expected(u) && !(request->version && u->n_active);
}

static bool any_idle(const struct upstream *u) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (instance_usable(i) && !i->beside && !i->load.in_flight)
                        return true;
        }
        return false;
}

static uint32_t count_asked(struct upstream *u) {
        struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->state == INSTANCE_ASKED && u->gateway->now_ns > i->asked_ns + ASK_AGAIN_NS)
                        instance_forget_ask(i);
                n += i->state == INSTANCE_ASKED;
        }
        return n;
}

/* Who runs beside is asked only for those that name it. */
static bool is_waited_for(const struct upstream *u, const struct instance *i) {
        const struct request *request;

        if (!i->beside || !u->n_pinned)
                return !i->beside;
        TAILQ_FOREACH(request, &u->waiting, in_upstream) {
                if (request->version && may_take(i, request->version))
                        return true;
        }
        return false;
}

/* Edges to further instances are opened when those that are open have work: as many as requests wait, and one more, for
 * somebody may not answer. */
static void want_edges(struct upstream *u) {
        uint32_t n_asked = count_asked(u);
        struct instance *i;

        if (any_idle(u) && !u->n_waiting)
                return;
        TAILQ_FOREACH(i, &u->instances, entry) {
                if (n_asked > u->n_waiting)
                        return;
                if (!instance_askable(i) || !is_waited_for(u, i))
                        continue;
                instance_ask(i);
                n_asked += i->state == INSTANCE_ASKED;
        }
}

/* The queue ---------------------------------------------------------------------------------------------------------------- */

static void waiting_add(struct request *request, bool first) {
        struct upstream *u = request->upstream;

        request->state = REQUEST_WAITING;
        request->instance = NULL;
        request_forget_file(request);
        if (first)
                TAILQ_INSERT_HEAD(&u->waiting, request, in_upstream);
        else
                TAILQ_INSERT_TAIL(&u->waiting, request, in_upstream);
        u->n_waiting++;
        u->n_pinned += request->version != NULL;
        u->gateway->n_waiting++;
}

static void waiting_remove(struct request *request) {
        struct upstream *u = request->upstream;

        TAILQ_REMOVE(&u->waiting, request, in_upstream);
        u->n_waiting--;
        u->n_pinned -= request->version != NULL;
        u->gateway->n_waiting--;
}

static int unplaced_error(const struct upstream *u) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->state == INSTANCE_OPEN && i->active)
                        return ERROR_OVERLOADED;
        }
        return ERROR_UNAVAILABLE;
}

/* Of what had begun somewhere, its end is the reason. */
static void answer_unplaced(struct request *request, int error) {
        request_error(request, request->repeated ? request->repeated : error);
}

void upstream_take_back(struct request *request) {
        waiting_add(request, true);
}

/* What can be placed is; when the chosen version is full, only those that name another are looked at behind its first. */
static void place_waiting(struct upstream *u) {
        struct request *request, *next;
        bool full = false;

        for (request = TAILQ_FIRST(&u->waiting); request; request = next) {
                struct instance *i = full && !request->version ? NULL : choose(u, request->version);

                next = TAILQ_NEXT(request, in_upstream);
                full |= !i && !request->version;
                if (full && !u->n_pinned)
                        return;
                if (!i)
                        continue;
                waiting_remove(request);
                if (!instance_send(i, request)) {
                        /* What it had has come back into the queue. */
                        waiting_add(request, true);
                        next = TAILQ_FIRST(&u->waiting);
                        full = false;
                }
        }
}

/* Nobody is to be expected; or nobody of the version that it names, while others are there. */
static void give_up_waiting(struct upstream *u) {
        struct request *request, *next;

        if (!u->n_pinned && is_expected(u))
                return;
        for (request = TAILQ_FIRST(&u->waiting); request; request = next) {
                next = TAILQ_NEXT(request, in_upstream);
                if (expected(u, request))
                        continue;
                waiting_remove(request);
                answer_unplaced(request, ERROR_UNAVAILABLE);
        }
}

void upstream_pump(struct upstream *u) {
        place_waiting(u);
        give_up_waiting(u);
        if (u->n_waiting)
                want_edges(u);
}

void upstreams_pump(struct gateway *g) {
        if (!g->n_waiting)
                return;
        for (struct upstream *u = g->upstreams; u; u = u->next) {
                if (u->n_waiting)
                        upstream_pump(u);
        }
        if (g->n_waiting)
                bus_watch(&g->bus);
}

/* Requests ----------------------------------------------------------------------------------------------------------------- */

void upstream_submit(struct request *request, uint64_t timeout_ms) {
        struct upstream *u = request->upstream;
        struct gateway *g = u->gateway;
        struct instance *i;

        if (call_table_add(&g->calls, request, &request->id) < 0) {
                request_error(request, ERROR_NO_MEMORY);
                return;
        }
        g->counters.in_flight++;
        deadline_set(&g->deadlines, &request->deadline, g->now_ns + timeout_ms * NS_PER_MS);
        /* Who waits for a version of his own keeps nobody else. */
        i = u->n_waiting > u->n_pinned ? NULL : choose(u, request->version);
        if (i && instance_send(i, request)) {
                if (u->n_cold)
                        want_edges(u);
                return;
        }
        if (!expected(u, request) || u->n_waiting >= WAITING_MAX) {
                request_error(request, expected(u, request) ? unplaced_error(u) : ERROR_UNAVAILABLE);
                return;
        }
        waiting_add(request, false);
        want_edges(u);
}

void upstream_forget(struct request *request) {
        if (request->state == REQUEST_WAITING)
                waiting_remove(request);
        else if (request->state == REQUEST_SENT)
                instance_cancel(request->instance, request);
}

/* Also of one that never was sent: whoever has not even taken the edge offered to him may hang. */
static void tell_asked(struct upstream *u) {
        struct instance *i;

        TAILQ_FOREACH(i, &u->instances, entry) {
                if (i->state == INSTANCE_ASKED)
                        instance_timed_out(i);
        }
}

/* Whether its worker hangs, the manager decides when this is on its way already. */
static void answer_timeout(struct request *request) {
        struct problem problem = problem_of_error(ERROR_TIMEOUT, upstream_name(request->upstream));
        uint64_t ms = request->settings.timeout_ms;
        char detail[192];

        snprintf(detail, sizeof(detail), "module %s gave no answer within %s (%llu %s); a worker that hangs is ended and replaced",
                 problem.module, request->settings.own ? "the timeout of its route" : "request-timeout",
                 (unsigned long long)(ms % 1000 ? ms : ms / 1000), ms % 1000 ? "ms" : "s");
        problem.detail = detail;
        request_problem(request, &problem);
}

/* Of what is streamed, since something last moved. While a client is waited for, that is looked at anew. */
static bool goes_on(struct request *request) {
        struct gateway *g = request->gateway;
        uint64_t due_ns;

        if (!request->stream)
                return false;
        due_ns = stream_due_ns(request->stream);
        if (due_ns <= g->now_ns)
                return false;
        if (due_ns == UINT64_MAX)
                due_ns = g->now_ns + request->settings.timeout_ms * NS_PER_MS;
        deadline_set(&g->deadlines, &request->deadline, due_ns);
        return true;
}

void upstream_on_due(struct deadline *deadline) {
        struct request *request = REQUEST_OF(deadline);
        struct instance *i = request->instance;

        if (request->state == REQUEST_WAITING) {
                waiting_remove(request);
                tell_asked(request->upstream);
                answer_unplaced(request, unplaced_error(request->upstream));
        } else if (request->state == REQUEST_SENT) {
                if (goes_on(request))
                        return;
                instance_cancel(i, request);
                instance_timed_out(i);
                if (request->call)
                        request_error(request, ERROR_TIMEOUT); /* its timeout is its caller's own */
                else
                        answer_timeout(request);
        }
}

/* Modules ------------------------------------------------------------------------------------------------------------------ */

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
static void settle_instances(struct upstream *u) {
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

static void take_module(struct upstream *u, const struct directory_table *t, uint32_t index) {
        const struct directory_module *module = &t->modules[index];

        mark_absent(u);
        for (size_t k = 1; k < N_ELEMENTS(u->places) && (u->module.n_settings || module->n_settings); k++)
                u->places[k] = NULL;
        u->module = *module;
        u->present = true;
        for (uint32_t k = 0; k < module->n_instances; k++)
                take_instance(u, &t->instances[module->first_instance + k]);
        settle_instances(u);
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

void upstream_unuse(struct upstream *u) {
        u->n_users--;
}

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
                        settle_instances(u);
        }
        sweep(g);
        return r;
}

void upstream_settle(struct upstream *u) {
        settle_instances(u);
}

/* Edges -------------------------------------------------------------------------------------------------------------------- */

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
        settle_instances(i->upstream);
}

void upstreams_on_file_channel(struct gateway *g, uint64_t instance, int fd) {
        struct instance *i = NULL;

        for (struct upstream *u = g->upstreams; u && !i; u = u->next)
                i = find_instance(u, instance);
        if (i)
                file_channel_open(i, fd);
        else
                fd_close(fd);
}

void upstreams_on_refused(struct gateway *g, uint64_t request, int error) {
        struct instance *i = find_asked(g, request);

        if (!i)
                return;
        instance_refused(i, error);
        settle_instances(i->upstream);
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
                settle_instances(u);
        }
        return n_open;
}

void upstreams_deinit(struct gateway *g) {
        struct upstream *u;
        struct instance *i;

        while ((u = g->upstreams)) {
                g->upstreams = u->next;
                while ((i = TAILQ_FIRST(&u->instances))) {
                        instance_close(i);
                        instance_free(i);
                }
                free(u);
        }
        free(g->slots);
        instances_free_dead(g);
}
