/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances: their birth and their orderly end. instance-link.c hears what they say,
 * instance-adopt.c takes over those of a former manager, instance-exit.c learns how
 * they have ended.
 */
#include "supervisor/manager/instance-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/manifest-calls.h"
#include "conf/manifest-routes.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "libmodule/worker.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/cut.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/disk.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/health.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/quiescence.h"
#include "supervisor/manager/placement.h"
#include "supervisor/manager/replicas.h"
#include "supervisor/manager/topics.h"
#include "supervisor/manager/violations.h"

static_assert(sizeof(struct instance_tag) <= CONTROL_TAG_SIZE, "the tag is opaque to the base and of fixed size");

const char *instance_state_name(enum instance_state state) {
        static const char *const names[] = { "forking",  "starting", "ready",    "leaving", "draining",
                                             "draining", "standby",  "stopping", "killed" };

        return names[state];
}

void instance_free(struct instance *i) {
        edges_forget(instance_manager(i), i, ERROR_PEER_DIED);
        topics_forget(i);
        health_free(i);
        if (i->link_event)
                event_free(i->link_event);
        module_log_detach(i);
        i->diagnosis = diagnosis_free(i->diagnosis);
        if (i->timer)
                event_free(i->timer);
        if (i->pause)
                event_free(i->pause);
        page_reader_free(i->page);
        fd_close(i->page_fd);
        outbox_forget(i->link);
        fd_close(i->link);
        fd_close(i->memory);
        free(i);
}

struct instance *instance_new(struct candidate *c) {
        struct instance *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        i->candidate = c;
        i->link = i->memory = i->page_fd = -1;
        TAILQ_INIT(&i->edges_out);
        TAILQ_INIT(&i->edges_in);
        TAILQ_INSERT_TAIL(&c->instances, i, entry);
        return i;
}

struct instance *instance_find(struct manager *m, uint64_t id) {
        struct candidate *c;
        struct instance *i;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(i, &c->instances, entry) {
                                if (i->id == id && id)
                                        return i;
                        }
                }
        }
        return NULL;
}

void instance_each(struct manager *m, void (*fn)(struct manager *m, struct instance *i)) {
        struct candidate *c;
        struct instance *i;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(i, &c->instances, entry)
                        fn(m, i);
                }
        }
}

static struct instance *instance_by_request(struct manager *m, uint64_t request) {
        struct candidate *c;
        struct instance *i;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(i, &c->instances, entry) {
                                if (i->state == INSTANCE_FORKING && i->request == request)
                                        return i;
                        }
                }
        }
        return NULL;
}

/* Starting ----------------------------------------------------------------------------------------------------------- */

/* The methods' names in the order of their ids, as the package calls them: an array and its texts in one allocation. NULL: out of memory. */
static const char **method_names(const struct manifest *man) {
        size_t n = manifest_n_methods(man);
        char(*texts)[MANIFEST_METHOD_SIZE];
        const char **names = calloc(n + 1, sizeof(*names) + sizeof(*texts));

        if (!names)
                return NULL;
        texts = (void *)(names + n + 1);
        for (size_t i = 0; i < n; i++) {
                manifest_method_own(man, i + 1, texts[i]);
                names[i] = texts[i];
        }
        return names;
}

static int settings_for(const struct candidate *c) {
        const struct manifest *man = &c->manifest;
        _cleanup_free_ const char **methods = method_names(man);
        struct worker_pair *config = calloc(man->config.n / 2 + 1, sizeof(*config));
        struct worker_pair *env = calloc(man->env.n / 2 + 1, sizeof(*env));
        struct worker_settings s = {
                .name = man->name,
                .version = man->version,
                .entry = man->entry,
                .prefix = !man->prefix        ? ""
                          : man->strip_prefix ? "/"
                                              : man->prefix,
                .config = config,
                .env = env,
                .n_config = (uint32_t)(man->config.n / 2),
                .n_env = (uint32_t)(man->env.n / 2),
                .board = (const char *const *)man->board_keys.items,
                .n_board = (uint32_t)man->board_keys.n,
                .methods = methods,
                .n_methods = (uint32_t)manifest_n_methods(man),
                .calls = (const char *const *)man->calls_allow.items,
                .n_calls = (uint32_t)man->calls_allow.n,
                .publish = (const char *const *)man->topics_publish.items,
                .n_publish = (uint32_t)man->topics_publish.n,
                .subscribe = (const char *const *)man->topics_subscribe.items,
                .n_subscribe = (uint32_t)man->topics_subscribe.n,
                .topic_ring = man->topics_ring,
                .read = (const char *const *)man->read.items,
                .n_read = (uint32_t)man->read.n,
                .write = (const char *const *)man->write.items,
                .n_write = (uint32_t)man->write.n,
                .network_host = man->network == MANIFEST_NETWORK_HOST,
                .in_flight = man->in_flight,
                .stack = man->stack,
                .body_max = man->body,
                .start_timeout_ms = man->start_timeout_ms,
                .stop_timeout_ms = man->stop_timeout_ms,
                .request_timeout_ms = man->request_timeout_ms,
                .ring_size = c->module->manager->config.ring,
                .max_message = c->module->manager->config.max_message,
        };
        int fd = -ENOMEM;

        if (config && env && methods) {
                for (size_t n = 0; n < s.n_config; n++)
                        config[n] = (struct worker_pair){ man->config.items[2 * n], man->config.items[2 * n + 1] };
                for (size_t n = 0; n < s.n_env; n++)
                        env[n] = (struct worker_pair){ man->env.items[2 * n], man->env.items[2 * n + 1] };
                fd = worker_settings_encode(&s);
        }
        free(config);
        free(env);
        return fd;
}

static void fork_fill(const struct candidate *c, uint32_t placed, struct control_fork *body) {
        struct instance_tag tag = { .version = 2, .methods = manifest_methods_hash(&c->manifest), .conf = c->conf };

        snprintf(body->name, sizeof(body->name), "%s", c->module->name);
        snprintf(tag.sha256, sizeof(tag.sha256), "%s", c->sha256);
        snprintf(tag.name, sizeof(tag.name), "%s", c->module->name);
        snprintf(tag.module_version, sizeof(tag.module_version), "%s", c->manifest.version);
        memcpy(body->tag, &tag, sizeof(tag));
        body->limits = (struct control_limits){
                .memory = c->manifest.memory,
                .disk = c->manifest.disk,
                .file_size = disk_file_size(&c->manifest),
                .cpu_percent = (uint32_t)c->manifest.cpu_percent,
                .pids = (uint32_t)c->manifest.pids,
                .files = (uint32_t)c->manifest.files,
                /* Of the version before as well, while one replaces the other. */
                .user_pids = (uint32_t)MIN(2 * replicas_wanted(c) * c->manifest.pids, UINT32_MAX),
                .placed = placed,
                .flags = (c->manifest.network == MANIFEST_NETWORK_HOST ? FORK_NETWORK_HOST : 0u) |
                         (c->manifest.processes ? FORK_PROCESSES : 0u) | (c->manifest.io_uring ? FORK_IO_URING : 0u) |
                         (c->manifest.data_dir ? FORK_DATA : 0u),
        };
}

struct instance *instance_start(struct candidate *c) {
        struct manager *m = c->module->manager;
        struct control_fork body = { 0 };
        _cleanup_close_ int settings = settings_for(c);
        struct instance *i;
        uint32_t placed;
        int r;

        if (settings < 0) {
                log_error("%s %s: settings: %s", c->module->name, c->manifest.version, strerror(-settings));
                return NULL;
        }
        placed = placement_choose(c);
        i = instance_new(c);
        if (!i)
                return NULL;
        i->placed = placed;
        fork_fill(c, i->placed, &body);
        i->request = manager_request(m);
        r = base_link_fork(m, i->request, &body, settings, c->package);
        if (r < 0) {
                log_error("%s %s: asking for a worker: %s", c->module->name, c->manifest.version, strerror(-r));
                TAILQ_REMOVE(&c->instances, i, entry);
                instance_free(i);
                return NULL;
        }
        return i;
}

/* Time ------------------------------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *userdata);

void instance_arm(struct instance *i, uint64_t ms) {
        struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

        if (!i->timer)
                i->timer = evtimer_new(instance_manager(i)->loop, on_timer, i);
        if (i->timer)
                evtimer_add(i->timer, &tv);
}

void instance_disarm(struct instance *i) {
        if (i->timer)
                evtimer_del(i->timer);
}

/* Records of the base ------------------------------------------------------------------------------------------------ */

int instance_attach(struct instance *i, const struct control_instance *record, int fds[static INSTANCE_FDS]) {
        struct manager *m = instance_manager(i);

        i->id = record->instance;
        i->pid = record->pid;
        i->uid = record->uid;
        i->forked_ns = record->forked_ns;
        i->has_cgroup = record->has_cgroup;
        i->link = TAKE_FD(fds[0]);
        i->page_fd = TAKE_FD(fds[1]);
        i->memory = TAKE_FD(fds[4]);
        i->state = INSTANCE_STARTING;
        if (instance_listen(i) < 0)
                return -ENOMEM;
        directory_offer(m, i);
        topics_on_instance(m, i);
        return module_log_attach(i, TAKE_FD(fds[2]), TAKE_FD(fds[3]));
}

void instance_on_record(struct manager *m, struct control_record *record) {
        struct instance *i = record->INSTANCE.adopted ? NULL : instance_by_request(m, record->header.request);

        if (!i && record->INSTANCE.adopted && m->restoring) {
                instance_adopt_later(m, record);
                return;
        }
        if (!i) {
                base_link_kill(m, record->INSTANCE.instance);
                return;
        }
        if (instance_attach(i, &record->INSTANCE, record->fds) < 0) {
                instance_kill(i, "out of memory");
                return;
        }
        operation_stamp(i->candidate->operation, STEP_forked, i->forked_ns);
        instance_arm(i, i->candidate->manifest.start_timeout_ms);
        if (i->retire)
                instance_kill(i, "");
}

void instance_on_fork_failed(struct manager *m, uint64_t request, const struct control_fork_failed *failed) {
        static const char *const steps[] = {
                [FORK_STEP_NONE] = "",
                [FORK_STEP_TABLE] = "the instance table",
                [FORK_STEP_UID] = "a uid for it",
                [FORK_STEP_WORK] = "its work folder",
                [FORK_STEP_DATA] = "its data folder",
                [FORK_STEP_CGROUP] = "its cgroup",
                [FORK_STEP_TEMPLATE] = "the template",
                [FORK_STEP_CLONE] = "clone3",
        };
        struct instance *i = instance_by_request(m, request);
        struct candidate *c;
        char reason[256];
        bool retired;

        if (!i)
                return;
        c = i->candidate;
        retired = i->retire;
        snprintf(reason, sizeof(reason), "no worker: %s: %s", failed->step < N_ELEMENTS(steps) ? steps[failed->step] : "?",
                 strerror(-failed->error));
        TAILQ_REMOVE(&c->instances, i, entry);
        instance_free(i);
        if (failed->error == -ESHUTDOWN)
                lifecycle_on_base_stopping(c);
        else if (!retired) /* else nobody wants it any more: that says nothing about the version */
                lifecycle_on_start_failed(c, FAULT_FORK_FAILED, reason);
        lifecycle_on_gone(c);
}

/* Ending ------------------------------------------------------------------------------------------------------------- */

void instance_kill(struct instance *i, const char *reason) {
        if (i->state == INSTANCE_KILLED)
                return;
        if (reason[0]) {
                snprintf(i->reason, sizeof(i->reason), "%s", reason);
                log_warning("%s %s: worker %d is killed: %s", i->candidate->module->name, i->candidate->manifest.version, i->pid, reason);
        }
        i->rests = false;
        health_stop(i);
        instance_disarm(i);
        if (!i->id) {
                i->retire = true; /* killed when the base has answered */
                return;
        }
        i->state = INSTANCE_KILLED;
        base_link_kill(instance_manager(i), i->id);
}

bool instance_refuses(const struct instance *i) {
        return i->refuses || (i->state == INSTANCE_KILLED && !i->was_ready);
}

static void instance_leave(struct instance *i) {
        i->state = INSTANCE_LEAVING;
        edges_refuse_new(instance_manager(i), i);
        quiescence_begin(i);
}

/* Also who was told to serve again and has not said that it does: it may be at what it began before. */
static bool has_work(const struct instance *i) {
        return i->state == INSTANCE_READY || (i->state == INSTANCE_STARTING && i->was_ready);
}

/* What rested is not needed ready any more. */
static void end_rest(struct instance *i) {
        i->rests = false;
        if (i->state == INSTANCE_STANDBY)
                instance_stop(i);
}

void instance_retire(struct instance *i) {
        if (i->rests)
                end_rest(i);
        if (i->retire)
                return;
        i->retire = true;
        health_stop(i);
        if (has_work(i))
                instance_leave(i);
        else if (i->state == INSTANCE_STARTING)
                instance_kill(i, "");
}

static uint32_t level_of(const struct instance *i) {
        struct page_vitals v;

        instance_vitals(i, &v);
        return v.level;
}

void instance_drain(struct instance *i) {
        struct control_empty body = { 0 };

        i->state = INSTANCE_RETIRING;
        topics_leave(i);
        if (control_send(i->link, CONTROL_KIND_DRAIN, 0, &body, sizeof(body), NULL, 0) != 0)
                instance_kill(i, "");
        else
                instance_arm(i, i->candidate->manifest.drain_timeout_ms);
        if (i->refuses)
                instance_on_level(i, level_of(i)); /* a former manager had told it so: it does not say it twice */
}

bool instance_rest(struct instance *i) {
        if (has_work(i) && !i->retire && !i->unhealthy)
                i->rests = i->retire = true;
        if (!i->rests) {
                instance_retire(i);
                return false;
        }
        if (has_work(i)) {
                health_stop(i);
                instance_leave(i);
        }
        return true;
}

void instance_resume(struct instance *i) {
        struct control_empty body = { 0 };

        i->rests = i->retire = i->refuses = i->joining = false;
        i->state = INSTANCE_STARTING; /* until it says that it is ready again */
        instance_arm(i, i->candidate->manifest.start_timeout_ms);
        if (control_send(i->link, CONTROL_KIND_RESUME, 0, &body, sizeof(body), NULL, 0) != 0)
                instance_kill(i, "it does not read what it is told");
        else
                topics_rejoin(i);
}

void instance_stop(struct instance *i) {
        struct control_stop body = { .timeout_ms = i->candidate->manifest.stop_timeout_ms };

        if (i->state == INSTANCE_STOPPING || i->state == INSTANCE_KILLED)
                return;
        i->state = INSTANCE_STOPPING;
        i->was_stopping = true;
        if (control_send(i->link, CONTROL_KIND_STOP, 0, &body, sizeof(body), NULL, 0) != 0)
                instance_kill(i, "");
        else
                instance_arm(i, i->candidate->manifest.stop_timeout_ms);
}

/* Code of the module runs and does not come back: since when, or 0. */
static uint64_t runs_since(const struct instance *i) {
        struct page_vitals v;

        instance_vitals(i, &v);
        return v.running_ns <= clock_now_ns() ? v.running_ns : 0;
}

/* Who does not run is not asked where. */
static void end_overdue(struct instance *i, const char *what) {
        instance_open_page(i);
        if (runs_since(i))
                diagnosis_begin(i, what);
        else
                instance_kill(i, what);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        struct instance *i = userdata;
        char reason[PAGE_REQUEST_SIZE + 128];

        switch (i->state) {
        case INSTANCE_STARTING:
                if (i->joining) {
                        instance_become_ready(i);
                        break;
                }
                snprintf(reason, sizeof(reason), "no `ready` within start-timeout (%llu ms)",
                         (unsigned long long)i->candidate->manifest.start_timeout_ms);
                end_overdue(i, reason);
                break;
        case INSTANCE_LEAVING:
                quiescence_look(i);
                break;
        case INSTANCE_RETIRING: /* it has not even read that it drains: nor would it read that it is to stop */
                cut_on_drain_timeout(i);
                cut_reason(i, "it has not come back to its loop within drain-timeout", reason, sizeof(reason));
                end_overdue(i, reason);
                break;
        case INSTANCE_DRAINING:
                cut_on_drain_timeout(i);
                i->rests = false;
                instance_stop(i);
                break;
        case INSTANCE_READY: /* for some time, without a link */
                if (i->settles && !i->link_closed) {
                        quiescence_look(i);
                        break;
                }
                violation_of_link(i, VIOLATION_LINK_CLOSED);
                break;
        case INSTANCE_STOPPING:
                cut_reason(i, "`stop` has taken longer than stop-timeout", reason, sizeof(reason));
                end_overdue(i, reason);
                break;
        default:
                break;
        }
}

void instance_on_timed_out(struct manager *m, uint64_t id) {
        struct instance *i = instance_find(m, id);
        struct page_stuck stuck;
        uint64_t since, ran;
        char what[PAGE_REQUEST_SIZE + 64];

        if (!i || i->state == INSTANCE_KILLED)
                return;
        since = runs_since(i);
        if (!since)
                return; /* it waits for something, others are served: the deadline was all */
        ran = (clock_now_ns() - since) / NS_PER_MS;
        /* Busy is not hung: in a queue that is too long, somebody times out during every handler that computes. */
        if (ran < manifest_longest_timeout_ms(&i->candidate->manifest) / 2)
                return;
        page_read_stuck(i->page, &stuck);
        diagnosis_what(stuck.request, ran, what, sizeof(what));
        diagnosis_begin(i, what);
}
