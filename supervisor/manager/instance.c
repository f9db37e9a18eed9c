/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances. The worker says on its link what it tells once; the page holds the
 * same as levels, so a manager that was not there when it was said reads it back.
 */
#include "supervisor/manager/instance.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "conf/manifest-calls.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "libmodule/worker.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/edge-sweep.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/health.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/log-hub.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/replicas.h"
#include "supervisor/manager/topics.h"
#include "supervisor/manager/violations.h"

#define RECORDS_PER_TURN 16
#define RECORDS_PER_SECOND 4000 /* nobody has so much to say; who has, waits */
#define RECORDS_AT_ONCE 2000
#define PAUSE_MS 10
#define CLOSED_MS 1000
#define OUTPUT_LINES_LOOKED_AT 64
#define JOIN_TIMEOUT_MS 250 /* for the publishers of its topics: one that hangs holds nobody up */

static_assert(sizeof(struct instance_tag) <= CONTROL_TAG_SIZE, "the tag is opaque to the base and of fixed size");

const char *instance_state_name(enum instance_state state) {
        static const char *const names[] = { "forking", "starting", "ready", "draining", "draining", "stopping", "killed" };

        return names[state];
}

static struct manager *instance_manager(const struct instance *i) {
        return i->candidate->module->manager;
}

/* The instance must have been taken out of its candidate's list. */
static void instance_free(struct instance *i) {
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

static struct instance *instance_new(struct candidate *c) {
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

/* The methods' names in the order of their ids: an array and its texts in one allocation. NULL: out of memory. */
static const char **method_names(const struct manifest *man) {
        size_t n = manifest_n_methods(man);
        char(*texts)[MANIFEST_METHOD_SIZE];
        const char **names = calloc(n + 1, sizeof(*names) + sizeof(*texts));
        bool idempotent;

        if (!names)
                return NULL;
        texts = (void *)(names + n + 1);
        for (size_t i = 0; i < n; i++) {
                manifest_method(man, i + 1, texts[i], &idempotent);
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

static void fork_fill(const struct candidate *c, struct control_fork *body) {
        struct instance_tag tag = { .version = 2, .methods = manifest_methods_hash(&c->manifest), .conf = c->conf };

        snprintf(body->name, sizeof(body->name), "%s", c->module->name);
        snprintf(tag.sha256, sizeof(tag.sha256), "%s", c->sha256);
        snprintf(tag.name, sizeof(tag.name), "%s", c->module->name);
        snprintf(tag.module_version, sizeof(tag.module_version), "%s", c->manifest.version);
        memcpy(body->tag, &tag, sizeof(tag));
        body->limits = (struct control_limits){
                .memory = c->manifest.memory,
                .cpu_percent = (uint32_t)c->manifest.cpu_percent,
                .pids = (uint32_t)c->manifest.pids,
                .files = (uint32_t)c->manifest.files,
                .flags = (c->manifest.network == MANIFEST_NETWORK_HOST ? FORK_NETWORK_HOST : 0u) |
                         (c->manifest.processes ? FORK_PROCESSES : 0u) | (c->manifest.data_dir ? FORK_DATA : 0u),
        };
}

struct instance *instance_start(struct candidate *c) {
        struct manager *m = c->module->manager;
        struct control_fork body = { 0 };
        _cleanup_close_ int settings = settings_for(c);
        struct instance *i;
        int r;

        if (settings < 0) {
                log_error("%s %s: settings: %s", c->module->name, c->manifest.version, strerror(-settings));
                return NULL;
        }
        i = instance_new(c);
        if (!i)
                return NULL;
        fork_fill(c, &body);
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

/* Records of the worker ---------------------------------------------------------------------------------------------- */

static void instance_open_page(struct instance *i) {
        int r;

        if (i->page || i->page_fd < 0)
                return;
        /* The worker seals its page before it says anything: only then is it safe to map. */
        r = page_reader_new(&i->page, TAKE_FD(i->page_fd));
        if (r)
                instance_kill(i, "its page is not sealed as it must be");
}

void instance_vitals(const struct instance *i, struct page_vitals *ret_vitals) {
        memset(ret_vitals, 0, sizeof(*ret_vitals));
        if (i->page)
                page_read(i->page, ret_vitals);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata);

static void instance_arm(struct instance *i, uint64_t ms) {
        struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

        if (!i->timer)
                i->timer = evtimer_new(instance_manager(i)->loop, on_timer, i);
        if (i->timer)
                evtimer_add(i->timer, &tv);
}

static void instance_disarm(struct instance *i) {
        if (i->timer)
                evtimer_del(i->timer);
}

static void instance_stop(struct instance *i) {
        struct control_stop body = { .timeout_ms = i->candidate->manifest.stop_timeout_ms };

        if (i->state == INSTANCE_STOPPING || i->state == INSTANCE_KILLED)
                return;
        i->state = INSTANCE_STOPPING;
        if (control_send(i->link, CONTROL_KIND_STOP, 0, &body, sizeof(body), NULL, 0) != 0)
                instance_kill(i, "");
        else
                instance_arm(i, i->candidate->manifest.stop_timeout_ms);
}

static void become_ready(struct instance *i) {
        i->joining = false;
        i->state = INSTANCE_READY;
        instance_disarm(i);
        health_start(i);
        lifecycle_on_ready(i);
}

void instance_on_joined(struct instance *i) {
        if (i->joining && i->state == INSTANCE_STARTING)
                become_ready(i);
}

static void on_level(struct instance *i, uint32_t level) {
        switch (level) {
        case PAGE_READY:
                if (i->state != INSTANCE_STARTING)
                        break;
                i->joining = topics_pending(i);
                if (i->joining)
                        instance_arm(i, JOIN_TIMEOUT_MS);
                else
                        become_ready(i);
                break;
        case PAGE_DRAINING:
                if (i->state == INSTANCE_RETIRING)
                        i->state = INSTANCE_DRAINING;
                lifecycle_on_progress(i->candidate->module);
                break;
        case PAGE_DRAINED:
                if (i->state == INSTANCE_RETIRING || i->state == INSTANCE_DRAINING)
                        instance_stop(i);
                lifecycle_on_progress(i->candidate->module);
                break;
        case PAGE_STOPPED:
                if (i->state >= INSTANCE_RETIRING)
                        instance_kill(i, "");
                break;
        default:
                break;
        }
}

/* Who may not call somebody cannot have waited for him: a complaint may cost a life. */
static void on_complaint(const struct instance *i, uint64_t id) {
        const struct instance *accused = instance_find(instance_manager(i), id);

        if (accused && edges_may_call(i, accused))
                instance_on_timed_out(instance_manager(i), id);
}

static void on_worker_record(struct instance *i, struct control_record *record) {
        struct manager *m = instance_manager(i);

        switch (record->header.kind) {
        case CONTROL_KIND_LEVEL:
                instance_open_page(i);
                on_level(i, record->LEVEL.level);
                break;
        case CONTROL_KIND_EDGE_ACCEPT:
                edges_on_accept(m, i, record->EDGE_ACCEPT.edge, record->fds);
                break;
        case CONTROL_KIND_EDGE_REJECT:
                edges_on_reject(m, i, record->EDGE_REJECT.edge, record->EDGE_REJECT.error);
                break;
        case CONTROL_KIND_EDGE_REQUEST:
                edges_on_request(m, i, record);
                break;
        case CONTROL_KIND_EDGE_RELEASED:
                edges_on_released(m, i, record->EDGE_RELEASED.target);
                break;
        case CONTROL_KIND_EDGE_SWEPT:
                edge_sweep_swept(&i->sweep, record->EDGE_SWEPT.n_open);
                break;
        case CONTROL_KIND_WATCH:
                edges_on_watch(m, i, record->WATCH.generation);
                break;
        case CONTROL_KIND_SUBSCRIBE:
                topics_on_subscribe(m, i, record);
                break;
        case CONTROL_KIND_TOPIC_ACCEPT:
                topics_on_accept(i, record);
                break;
        case CONTROL_KIND_HEALTH_RESULT:
                health_on_result(i, record->header.request, &record->HEALTH_RESULT);
                break;
        case CONTROL_KIND_DIAGNOSED:
                diagnosis_on_answer(i);
                break;
        case CONTROL_KIND_EDGE_POISONED:
                violations_by_instance(i, record->EDGE_POISONED.peer, record->EDGE_POISONED.reason);
                break;
        case CONTROL_KIND_TIMED_OUT:
                on_complaint(i, record->TIMED_OUT.instance);
                break;
        default:
                break;
        }
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata) {
        struct instance *i = userdata;

        if (i->state != INSTANCE_KILLED)
                event_add(i->link_event, NULL);
}

/* Who says more than is read of him waits: nothing is lost, and others are heard meanwhile. */
static bool is_flooding(struct instance *i) {
        const struct timeval tv = { .tv_usec = PAUSE_MS * 1000 };

        log_bucket_set(&i->records, RECORDS_PER_SECOND, RECORDS_AT_ONCE);
        if (log_bucket_take(&i->records, clock_now_ns()))
                return false;
        if (!i->pause)
                i->pause = evtimer_new(instance_manager(i)->loop, on_pause_over, i);
        if (!i->pause || evtimer_add(i->pause, &tv) < 0)
                return false;
        event_del(i->link_event);
        violation_of_asking(i, VIOLATION_LINK_FLOOD);
        return true;
}

/* Who dies closes his link, too, and that is told by the base in a moment. Who is ready and lives on without one cannot be
 * told anything any more; in other states there is a timer already. */
static void on_link_closed(struct instance *i) {
        event_del(i->link_event);
        if (i->state == INSTANCE_READY)
                instance_arm(i, CLOSED_MS);
}

static void on_worker_link(evutil_socket_t fd, short what, void *userdata) {
        struct instance *i = userdata;
        struct control_record record;
        int n, r;

        for (n = 0; n < RECORDS_PER_TURN; n++) {
                if (is_flooding(i))
                        return;
                r = control_receive(i->link, CONTROL_WORKER, CONTROL_MANAGER, &record);
                if (r == CONTROL_E_AGAIN)
                        return;
                if (r == -EMFILE) {
                        log_error("instance %llu: a record is lost, for we may have no more descriptors", (unsigned long long)i->id);
                        continue;
                }
                if (r == CONTROL_E_CLOSED) {
                        on_link_closed(i);
                        return;
                }
                if (r) {
                        event_del(i->link_event);
                        /* A lie is answered by death. */
                        if (r == CONTROL_E_BAD)
                                violation_of_link(i, record.violation);
                        else
                                instance_kill(i, "its control link broke");
                        return;
                }
                on_worker_record(i, &record);
                control_record_deinit(&record);
        }
}

/* Records of the base ------------------------------------------------------------------------------------------------ */

static int instance_attach(struct instance *i, const struct control_instance *record, int fds[static INSTANCE_FDS]) {
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
        i->link_event = event_new(m->loop, i->link, EV_READ | EV_PERSIST, on_worker_link, i);
        if (!i->link_event || event_add(i->link_event, NULL) < 0)
                return -ENOMEM;
        directory_offer(m, i);
        topics_on_instance(m, i);
        return module_log_attach(i, TAKE_FD(fds[2]), TAKE_FD(fds[3]));
}

static void adopt_later(struct manager *m, struct control_record *record) {
        struct adopted *a = calloc(1, sizeof(*a));

        if (!a) {
                base_link_kill(m, record->INSTANCE.instance);
                return;
        }
        a->record = record->INSTANCE;
        memcpy(&a->tag, a->record.tag, sizeof(a->tag));
        for (int n = 0; n < INSTANCE_FDS; n++)
                a->fds[n] = TAKE_FD(record->fds[n]);
        TAILQ_INSERT_TAIL(&m->adopted, a, entry);
}

void instance_on_record(struct manager *m, struct control_record *record) {
        struct instance *i = record->INSTANCE.adopted ? NULL : instance_by_request(m, record->header.request);

        if (!i && record->INSTANCE.adopted && m->restoring) {
                adopt_later(m, record);
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

static void adopted_free(struct manager *m, struct adopted *a) {
        TAILQ_REMOVE(&m->adopted, a, entry);
        for (int n = 0; n < INSTANCE_FDS; n++)
                fd_close(a->fds[n]);
        free(a);
}

static bool adopted_is_of(const struct adopted *a, const struct candidate *c) {
        return a->tag.version == 2 && !strncmp(a->tag.sha256, c->sha256, sizeof(a->tag.sha256)) &&
               !strncmp(a->tag.name, c->module->name, sizeof(a->tag.name)) && a->tag.methods == manifest_methods_hash(&c->manifest);
}

/* Goes on where the former manager was with it. */
static void adopt_level(struct instance *i) {
        struct candidate *c = i->candidate;
        struct page_vitals vitals;

        instance_vitals(i, &vitals);
        if (vitals.level == PAGE_READY) {
                i->state = INSTANCE_READY;
                c->served = true;
                health_start(i);
        } else if (vitals.level > PAGE_READY) {
                i->state = INSTANCE_RETIRING;
                i->retire = true;
                instance_arm(i, c->manifest.drain_timeout_ms);
                on_level(i, vitals.level);
        } else {
                instance_arm(i, c->manifest.start_timeout_ms);
        }
}

static void adopt_one(struct manager *m, struct candidate *c, struct adopted *a) {
        struct instance *i = instance_new(c);

        if (i && instance_attach(i, &a->record, a->fds) == 0) {
                if (page_reader_new(&i->page, fd_dup(i->page_fd)) == 0)
                        i->page_fd = fd_close(i->page_fd);
                if (c->manifest.calls_allow.n)
                        edge_sweep_opened(m, &i->sweep);
                adopt_level(i);
                topics_on_adopted(i);
                log_info("%s %s: worker %d is adopted", c->module->name, c->manifest.version, i->pid);
        } else {
                base_link_kill(m, a->record.instance);
        }
        adopted_free(m, a);
}

/* First what runs as the operator wants it now; else what serves as he wanted it before, to be replaced. */
void instance_adopt(struct manager *m, struct candidate *c) {
        struct adopted *a, *next;

        for (int pass = 0; pass < 2; pass++) {
                for (a = TAILQ_FIRST(&m->adopted); a; a = next) {
                        next = TAILQ_NEXT(a, entry);
                        if (!adopted_is_of(a, c) || (a->tag.conf != c->conf && (pass == 0 || replicas_complete(c))))
                                continue;
                        c->stale |= a->tag.conf != c->conf;
                        adopt_one(m, c, a);
                }
        }
        if (c->stale)
                c->conf = ~c->conf; /* of no file: the next look at it makes another of it */
}

/* It died before it was adopted: it must not be. */
static void adopted_on_exited(struct manager *m, uint64_t id) {
        struct adopted *a;

        TAILQ_FOREACH(a, &m->adopted, entry) {
                if (a->record.instance == id) {
                        adopted_free(m, a);
                        return;
                }
        }
}

void instance_adopt_end(struct manager *m) {
        struct adopted *a;

        while ((a = TAILQ_FIRST(&m->adopted))) {
                log_notice("worker %d of %.63s %.63s belongs to nothing that is deployed: killed", a->record.pid, a->tag.name,
                           a->tag.module_version);
                base_link_kill(m, a->record.instance);
                adopted_free(m, a);
        }
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
        if (!retired) /* else nobody wants it any more: that says nothing about the version */
                lifecycle_on_start_failed(c, "FORK_FAILED", reason);
        lifecycle_on_gone(c);
}

static const char *failure_code(int error_code) {
        switch (error_code) {
        case PAGE_FAILURE_LOAD:
                return "LOAD_FAILED";
        case PAGE_FAILURE_ABI:
                return "BAD_ENTRY";
        case PAGE_FAILURE_START:
                return "START_FAILED";
        default:
                return "START_FAILED";
        }
}

static void exit_text(const struct control_exited *e, char *text, size_t size) {
        if (e->code == CLD_EXITED)
                snprintf(text, size, "exited with status %d", e->status);
        else
                snprintf(text, size, "killed by SIG%s", sigabbrev_np(e->status) ? sigabbrev_np(e->status) : "?");
}

static void on_start_death(struct instance *i, const struct page_vitals *v, const struct control_exited *e, struct candidate *c) {
        static const char *const where[] = { "before it was set up", "while it was loaded", "in `start`" };
        char how[64], reason[640];

        exit_text(e, how, sizeof(how));
        operation_stamp(c->operation, STEP_loaded, v->level_ns[PAGE_LOADED]); /* then it was `start` that failed */
        if (v->level == PAGE_FAILED) {
                lifecycle_on_start_failed(c, failure_code(v->error_code), v->error_text);
                return;
        }
        if (i->reason[0]) {
                char code[32] = "START_FAILED";

                if (!strncmp(i->reason, "no `ready`", 10))
                        strcpy(code, "START_TIMEOUT");
                snprintf(reason, sizeof(reason), "%s", i->reason);
                lifecycle_on_start_failed(c, code, reason);
                return;
        }
        snprintf(reason, sizeof(reason), "the worker %s%s %s", e->code == CLD_EXITED ? "" : "was ", how,
                 where[MIN((unsigned)v->level, 2u)]);
        lifecycle_on_start_failed(c, "START_CRASHED", reason);
}

struct output {
        uint64_t instance;
        json_t *lines;
};

static void add_output(const struct log_line *line, void *userdata) {
        struct output *o = userdata;

        if (line->instance != o->instance || line->source != LOG_FROM_stderr)
                return;
        json_array_append_new(o->lines, json_stringn(line->text, line->size));
        if (json_array_size(o->lines) > HISTORY_OUTPUT_LINES)
                json_array_remove(o->lines, 0);
}

/* What it last wrote to standard error, which often says why it ended. NULL: nothing. */
static json_t *last_output(const struct instance *i) {
        struct output o = { .instance = i->id, .lines = json_array() };

        if (o.lines && instance_manager(i)->logs)
                log_hub_last(instance_manager(i)->logs, i->candidate->module->name, OUTPUT_LINES_LOOKED_AT, 7, add_output, &o);
        if (json_array_size(o.lines))
                return o.lines;
        json_decref(o.lines);
        return NULL;
}

void instance_on_exited(struct manager *m, const struct control_exited *e) {
        struct instance *i = instance_find(m, e->instance);
        struct page_vitals v;
        struct candidate *c;
        char how[64], reason[640];
        bool retired, hung;

        base_link_ack(m, e->instance);
        if (!i) {
                adopted_on_exited(m, e->instance);
                return;
        }
        c = i->candidate;
        if (!i->page && i->page_fd >= 0)
                page_reader_new(&i->page, TAKE_FD(i->page_fd));
        instance_vitals(i, &v);
        module_log_end(i);
        hung = i->diagnosis;
        diagnosis_on_death(i);
        c->requests_before += v.requests;
        c->errors_before += v.errors;
        retired = i->retire;
        lifecycle_on_released(i, e);
        TAILQ_REMOVE(&c->instances, i, entry); /* what follows must not find it any more */
        exit_text(e, how, sizeof(how));
        snprintf(reason, sizeof(reason), "%s", i->reason[0] ? i->reason : how);
        if (!retired)
                history_note_exit(c->module->history, e, last_output(i));
        if (retired)
                lifecycle_on_progress(c->module);
        else if (v.level < PAGE_READY || v.level == PAGE_FAILED)
                on_start_death(i, &v, e, c);
        else
                lifecycle_on_crash(c, e->instance, e->killed || hung ? reason : how);
        if (!retired)
                module_log_say(i, 3, "%s: %s%s", c->code, c->reason,
                               (c->state == CANDIDATE_BROKEN || c->state == CANDIDATE_ACTIVE) && !c->failed ? "; it is started again" : "");
        instance_free(i);
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
        health_stop(i);
        instance_disarm(i);
        if (!i->id) {
                i->retire = true; /* killed when the base has answered */
                return;
        }
        i->state = INSTANCE_KILLED;
        base_link_kill(instance_manager(i), i->id);
}

void instance_retire(struct instance *i) {
        struct control_empty body = { 0 };

        if (i->retire)
                return;
        i->retire = true;
        health_stop(i);
        if (i->state == INSTANCE_FORKING)
                return;
        if (i->state == INSTANCE_STARTING) {
                instance_kill(i, "");
                return;
        }
        if (i->state != INSTANCE_READY)
                return;
        i->state = INSTANCE_RETIRING;
        topics_leave(i);
        if (control_send(i->link, CONTROL_KIND_DRAIN, 0, &body, sizeof(body), NULL, 0) != 0)
                instance_kill(i, "");
        else
                instance_arm(i, i->candidate->manifest.drain_timeout_ms);
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
        char reason[128];

        switch (i->state) {
        case INSTANCE_STARTING:
                if (i->joining) {
                        become_ready(i);
                        break;
                }
                snprintf(reason, sizeof(reason), "no `ready` within start-timeout (%llu ms)",
                         (unsigned long long)i->candidate->manifest.start_timeout_ms);
                end_overdue(i, reason);
                break;
        case INSTANCE_RETIRING:
        case INSTANCE_DRAINING:
                log_warning("%s %s: worker %d still had requests in flight after drain-timeout", i->candidate->module->name,
                            i->candidate->manifest.version, i->pid);
                module_log_say(i, 4, "requests were still in flight after drain-timeout");
                instance_stop(i);
                break;
        case INSTANCE_READY: /* for some time, without a link */
                violation_of_link(i, VIOLATION_LINK_CLOSED);
                break;
        case INSTANCE_STOPPING:
                end_overdue(i, "`stop` has taken longer than stop-timeout");
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
        if (ran < i->candidate->manifest.request_timeout_ms / 2)
                return;
        page_read_stuck(i->page, &stuck);
        diagnosis_what(stuck.request, ran, what, sizeof(what));
        diagnosis_begin(i, what);
}
