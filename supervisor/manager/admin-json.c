/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin API's documents. See docs/admin-api.md for their form.
 */
#include "supervisor/manager/admin-json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/http-status.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/inspect-role.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/log-journal.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/shortfall.h"

/* Texts of strangers (what a worker says, what a file is called) may be no UTF-8, and then there would be no document at all. */
json_t *json_text(const char *text) {
        _cleanup_free_ char *clean = NULL;
        json_t *j = text ? json_string(text) : json_null();

        if (j || !text)
                return j;
        clean = strdup(text);
        for (char *c = clean; c && *c; c++) {
                if ((unsigned char)*c >= 0x80)
                        *c = '?';
        }
        return json_string(clean ? clean : "");
}

/* Private_Dirty + swap of a process, from the kernel's own sum. 0 when it cannot be read. */
uint64_t json_private_bytes(const struct instance *i) {
        char text[4096], *rest = text, *line;
        uint64_t kib = 0;
        ssize_t n = i->memory < 0 ? -1 : pread(i->memory, text, sizeof(text) - 1, 0);

        if (n <= 0)
                return 0;
        text[n] = '\0';
        while ((line = strsep(&rest, "\n"))) {
                unsigned long long value;

                if (sscanf(line, "Private_Dirty: %llu kB", &value) == 1 || sscanf(line, "Swap: %llu kB", &value) == 1)
                        kib += value;
        }
        return kib * 1024;
}

static json_t *json_instance(const struct instance *i) {
        uint64_t now = clock_now_ns();
        struct page_vitals v;

        instance_vitals(i, &v);
        return json_pack("{s:I, s:i, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)i->id, "pid", i->pid, "uid",
                         (json_int_t)i->uid, "state",
                         i->unhealthy && i->state == INSTANCE_READY ? "unhealthy" : instance_state_name(i->state), "uptime_ms",
                         (json_int_t)(i->forked_ns && now > i->forked_ns ? (now - i->forked_ns) / NS_PER_MS : 0), "private_bytes",
                         (json_int_t)json_private_bytes(i), "requests", (json_int_t)v.requests, "errors", (json_int_t)v.errors, "in_flight",
                         (json_int_t)v.in_flight, "restarts", (json_int_t)i->candidate->restarts, "bytes_in", (json_int_t)v.bytes_in,
                         "bytes_out", (json_int_t)v.bytes_out);
}

/* Whom those get who name no version. */
static const struct candidate *json_chosen(const struct module *mod) {
        return mod->active ? mod->active : module_wanted(mod);
}

static json_t *json_version(const struct candidate *c) {
        json_t *instances = json_array();
        const struct instance *i;

        TAILQ_FOREACH(i, &c->instances, entry)
        json_array_append_new(instances, json_instance(i));
        return json_add_fault(json_pack("{s:s, s:s, s:b, s:s, s:o, s:o, s:s, s:o, s:I, s:o, s:o}", "version", c->manifest.version, "state",
                                        state_name(c->state), "chosen", (int)(c == json_chosen(c->module)), "code", fault_code(c->fault),
                                        "reason", json_text(c->reason), "file", json_text(c->file ? c->file->name : NULL), "sha256",
                                        c->sha256, "signed_by", json_text(c->signed_by[0] ? c->signed_by : NULL), "restarts",
                                        (json_int_t)c->restarts, "not_in_force", shortfalls_json(c->module->manager, &c->manifest),
                                        "instances", instances),
                              c->fault, c->module->name);
}

json_t *json_module(struct module *mod) {
        const struct candidate *serving = json_chosen(mod), *c;
        json_t *versions = json_array();
        const char *reason = "", *state;

        if (TAILQ_EMPTY(&mod->candidates) && mod->of[0])
                state = of_state(mod, &reason);
        else
                state = state_name(module_state(mod, &reason));
        TAILQ_FOREACH(c, &mod->candidates, entry)
        json_array_append_new(versions, json_version(c));
        return json_pack("{s:s, s:o, s:s, s:o, s:o, s:I, s:o}", "name", mod->name, "of", json_text(mod->of[0] ? mod->of : NULL), "state",
                         state, "reason", json_text(reason), "prefix", json_text(serving ? serving->manifest.prefix : NULL), "cut_off",
                         (json_int_t)mod->n_cut, "versions", versions);
}

static void format_time(uint64_t ms, char *text, size_t size) {
        time_t seconds = (time_t)(ms / 1000);
        char stamp[32];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text, size, "%s.%03uZ", stamp, (unsigned)(ms % 1000));
}

json_t *json_time(uint64_t ms) {
        char stamp[48];

        format_time(ms, stamp, sizeof(stamp));
        return json_string(stamp);
}

/* A file whose name says which module it is stands under that module, too. */
static json_t *json_refused(const struct drop_file *f) {
        char stamp[48], shown[DROP_SHOWN_SIZE], name[CONTROL_NAME_SIZE], version[64];

        format_time(f->refused_at * 1000, stamp, sizeof(stamp));
        return json_add_fault(json_pack("{s:o, s:s, s:o, s:s}", "file", json_text(drop_file_shown(f, shown)), "code", fault_code(f->fault),
                                        "reason", json_text(f->reason), "time", stamp),
                              f->fault, drop_file_split(f, name, version) ? name : NULL);
}

/* What conf.d says of modules under other names, and is wrong. */
static json_t *json_refused_alias(const struct alias *a) {
        char stamp[48];

        format_time(a->refused_at * 1000, stamp, sizeof(stamp));
        return json_add_fault(json_pack("{s:o, s:s, s:o, s:s}", "file", json_text(a->shown), "code", fault_code(FAULT_BAD_OF), "reason",
                                        json_text(a->error), "time", stamp),
                              FAULT_BAD_OF, a->name);
}

json_t *json_modules(struct manager *m) {
        json_t *modules = json_array();
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (!TAILQ_EMPTY(&mod->candidates) || mod->of[0])
                        json_array_append_new(modules, json_module(mod));
        }
        return modules;
}

static void json_layers(uint32_t bits, json_t **ret_enforced, json_t **ret_missing) {
        json_t *enforced = json_array(), *missing = json_array();

        for (unsigned i = 0; i < N_HOST_ROWS; i++) {
                const struct host_info *row = &host_rows[i];

                if (row->weight != HOST_LAYER)
                        continue;
                if (bits & 1u << i)
                        json_array_append_new(enforced, json_string(row->name));
                else
                        json_array_append_new(missing,
                                              json_pack("{s:s, s:s, s:s}", "layer", row->name, "fallback", row->without, "fix", row->fix));
        }
        *ret_enforced = enforced;
        *ret_missing = missing;
}

/* A gateway's, as soon as it has said so. */
static json_t *json_loop(const struct manager *m, const char *role) {
        static const char *const names[] = { [GATEWAY_LOOP_URING] = "io_uring", [GATEWAY_LOOP_EPOLL] = "epoll" };
        char name[GATEWAY_NAME_SIZE];
        const struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (!strcmp(gateway_name(g, name), role) && g->loop < N_ELEMENTS(names) && names[g->loop])
                        return json_string(names[g->loop]);
        }
        return NULL;
}

static json_t *json_roles(struct manager *m) {
        json_t *list = json_array();
        uint64_t now = clock_now_ns();
        bool self = false;

        for (uint32_t i = 0; i < m->n_roles; i++) {
                const struct control_role *r = &m->roles[i];

                self |= !strcmp(r->name, "manager");
                json_array_append_new(list,
                                      json_pack("{s:s, s:o*, s:i, s:I, s:I, s:I, s:o}", "name", r->name, "loop", json_loop(m, r->name),
                                                "pid", r->pid, "uid", (json_int_t)r->uid, "restarts", (json_int_t)r->n_restarts,
                                                "uptime_ms", (json_int_t)(now > r->started_ns ? (now - r->started_ns) / NS_PER_MS : 0),
                                                "in_force", role_in_force_json(r)));
        }
        if (!self)
                json_array_append_new(list,
                                      json_pack("{s:s, s:i, s:I}", "name", "manager", "pid", (int)getpid(), "uid", (json_int_t)getuid()));
        return list;
}

static json_t *json_access_log(const struct manager *m) {
        bool lacks = access_log_lacks_journal(m);

        return json_pack("{s:s, s:o}", "to", m->config.access_log, "problem",
                         json_text(lacks ? "there is no journal at " JOURNAL_SOCKET "; nothing is logged of requests" : NULL));
}

static json_t *json_base(struct manager *m) {
        json_t *enforced, *missing, *listen = json_array();
        uint64_t now = clock_now_ns(), generation = 1;
        char started[48];

        json_layers(layers_in_force(m), &enforced, &missing);
        for (size_t i = 0; i < m->config.listen.n; i++)
                json_array_append_new(listen, json_text(m->config.listen.items[i]));
        for (uint32_t i = 0; i < m->n_roles; i++) {
                if (!strcmp(m->roles[i].name, "template"))
                        generation = m->roles[i].generation;
        }
        format_time(m->started_ms, started, sizeof(started));
        return json_pack("{s:i, s:s, s:o, s:s, s:I, s:s, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "pid", m->hello.base_pid, "version",
                         SOCLE_VERSION, "name", json_text(m->config.name), "started", started, "uptime_ms",
                         (json_int_t)((now - m->hello.start_ns) / NS_PER_MS), "mode", m->hello.root ? "root" : "rootless", "generation",
                         (json_int_t)generation, "ready", m->ready_sent, "enforced", enforced, "missing", missing, "listen", listen,
                         "access_log", json_access_log(m), "in_force", base_in_force_json(m), "roles", json_roles(m));
}

json_t *json_rejected(struct manager *m) {
        json_t *rejected = json_array();
        const struct drop_file *f;
        const struct alias *a;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (f->fault)
                        json_array_append_new(rejected, json_refused(f));
        }
        TAILQ_FOREACH(a, &m->aliases, entry) {
                if (a->error[0])
                        json_array_append_new(rejected, json_refused_alias(a));
        }
        return rejected;
}

json_t *json_status(struct manager *m) {
        return json_pack("{s:o, s:o, s:o}", "base", json_base(m), "modules", json_modules(m), "rejected", json_rejected(m));
}

static json_t *json_released(const struct released *r) {
        const struct control_exited *e = &r->exited;
        const char *cgroup = e->cgroup_gone == 1 ? "removed" : e->cgroup_gone == 2 ? "none" : strerror(-e->error);
        char how[128];

        instance_exit_text(e, how, sizeof(how));
        return json_pack("{s:I, s:s, s:i, s:b, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:o}", "instance",
                         (json_int_t)e->instance, "version", r->version, "pid", e->pid, "pid_gone", e->pid_gone, "cgroup", cgroup,
                         "work_folder_removed", e->work_gone, "processes_killed", (json_int_t)e->n_processes, "files_removed",
                         (json_int_t)e->n_files, "edges_closed", (json_int_t)r->n_edges, "peak_memory_bytes", (json_int_t)e->peak_memory,
                         "cpu_us", (json_int_t)(e->user_us + e->system_us), "throttled_us", (json_int_t)e->throttled_us, "pids_refused",
                         (json_int_t)e->n_pids_refused, "exit", how, "took_us",
                         (json_int_t)(e->asked_ns && e->reaped_ns > e->asked_ns ? (e->reaped_ns - e->asked_ns) / NS_PER_US : 0), "code",
                         json_text(r->fault ? fault_code(r->fault) : NULL), "reason", json_text(r->fault ? r->reason : NULL));
}

static json_t *json_step(unsigned step, uint64_t ns, bool ok) {
        return json_pack("{s:s, s:I, s:b}", "step", operation_step_names[step], "ns", (json_int_t)ns, "ok", ok);
}

static json_t *json_journey(const struct operation *op) {
        json_t *list = json_array();
        uint64_t begin = op->stamps[STEP_noticed], at = begin;

        for (unsigned i = 0; i < N_STEPS && op->stamps[i]; i++) {
                at = MAX(at, op->stamps[i]);
                json_array_append_new(list, json_step(i, at - begin, true));
        }
        if (op->state == OPERATION_FAILED)
                json_array_append_new(list, json_step(op->failed_step, begin ? MAX(at, op->failed_ns) - begin : 0, false));
        return list;
}

static json_t *json_waited_for(const struct operation *op) {
        json_t *list = json_array();

        for (uint32_t i = 0; i < op->n_waited_for; i++) {
                const struct waited_for *w = &op->waited_for[i];

                json_array_append_new(list, json_pack("{s:o, s:I, s:I}", "caller", json_text(w->caller), "instance",
                                                      (json_int_t)w->instance, "ms", (json_int_t)w->ms));
        }
        return list;
}

json_t *json_operation(const struct operation *op) {
        static const char *const states[] = { "running", "done", "failed" };
        const struct fault_info *info = fault_info(op->fault);
        json_t *released = NULL;

        if (op->past)
                return json_incref(op->past);
        if (op->kind == OPERATION_UNDEPLOY) {
                released = json_array();
                for (uint32_t i = 0; i < op->n_released; i++)
                        json_array_append_new(released, json_released(&op->released[i]));
        }
        return json_pack("{s:I, s:s, s:o*, s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:o*, s:o, s:o, s:b, s:b, s:o, s:o, s:I, s:o?}",
                         "id", (json_int_t)op->id, "kind", operation_kind_names[op->kind], "request",
                         op->request[0] ? json_string(op->request) : NULL, "began", json_time(op->began_ms), "actor", op->actor, "module",
                         op->module, "version", op->version, "file", json_text(op->file), "state", states[op->state], "code", info->code,
                         "class", info->class, "fault", info->whose, "warning", op->warning[0] ? json_string(op->warning) : NULL, "detail",
                         json_text(op->detail), "hint", json_text(op->hint), "unchanged", op->unchanged, "interrupted", op->interrupted,
                         "journey", op->kind != OPERATION_UNDEPLOY && !op->interrupted ? json_journey(op) : json_array(), "waited_for",
                         json_waited_for(op), "cut_off", (json_int_t)op->n_cut, "released", released);
}

json_t *json_operations(struct manager *m) {
        json_t *list = json_array();
        const struct operation *op;

        TAILQ_FOREACH(op, &m->operations.queue, entry) {
                if (!op->quiet)
                        json_array_append_new(list, json_operation(op));
        }
        return json_pack("{s:o}", "operations", list);
}

json_t *json_add_fault(json_t *j, enum fault fault, const char *module) {
        const struct fault_info *info = fault_info(fault);
        char hint[512];

        fault_hint(fault, module, hint, sizeof(hint));
        json_object_set_new(j, "class", json_string(info->class));
        json_object_set_new(j, "fault", json_string(info->whose));
        json_object_set_new(j, "hint", json_string(hint));
        return j;
}

json_t *json_problem(enum fault fault, const char *detail, const char *hint) {
        const struct fault_info *info = fault_info(fault);
        json_t *j = json_pack("{s:s, s:s, s:i, s:s, s:o}", "type", "about:blank", "title", http_status_phrase(info->http_status), "status",
                              info->http_status, "code", info->code, "detail", json_text(detail));

        json_add_fault(j, fault, NULL);
        if (hint)
                json_object_set_new(j, "hint", json_text(hint));
        return j;
}
