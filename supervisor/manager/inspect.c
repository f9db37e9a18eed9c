/* SPDX-License-Identifier: Apache-2.0
 *
 * Inspection. Everything that can be asked of the kernel is; what it does not
 * tell (Landlock's rules) is what was applied, and said to be that.
 */
#include "supervisor/manager/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/http-counts.h"
#include "supervisor/manager/inspect-process.h"
#include "supervisor/manager/inspect-role.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/shortfall.h"
#include "supervisor/manager/topics.h"
#include "supervisor/manager/violations.h"

struct inspection {
        TAILQ_ENTRY(inspection) entry;
        struct manager *manager;
        struct evhttp_request *req;     /* NULL: the client is gone */
        char module[CONTROL_NAME_SIZE]; /* "": it is about the roles */
        json_t *instances;
        uint32_t n_waiting;
        uint64_t first, last; /* requests to the base */
};
static TAILQ_HEAD(, inspection) inspections = TAILQ_HEAD_INITIALIZER(inspections);

static void set(json_t *object, const char *key, json_t *value) {
        if (value)
                json_object_set_new(object, key, value);
}

/* What was applied -------------------------------------------------------------------------------------------------- */

static void add_paths(json_t *list, const struct text_list *paths) {
        for (size_t i = 0; i < paths->n; i++)
                json_array_append_new(list, json_text(paths->items[i]));
}

static json_t *landlock_json(const struct manager *m, const struct manifest *man) {
        json_t *read = json_pack("[s, s]", "its package", "the system's libraries, locales, time zones and certificates");
        json_t *write = json_pack("[s]", "its work folder");
        bool applied = false;

        for (uint32_t i = 0; i < m->n_roles; i++)
                applied |= !strcmp(m->roles[i].name, "template") && m->roles[i].enforced & ENFORCED_LANDLOCK;
        add_paths(read, &man->read);
        add_paths(write, &man->write);
        if (man->data_dir)
                json_array_append_new(write, json_string("its data folder"));
        return json_pack("{s:b, s:o, s:o}", "applied", applied, "read", read, "write", write);
}

static json_t *peers_json(const struct instance *i) {
        json_t *out = json_array(), *in = json_array();
        const struct made_edge *e;

        TAILQ_FOREACH(e, &i->edges_out, in_caller)
        json_array_append_new(out,
                              json_pack("{s:s, s:I}", "module", e->target->candidate->module->name, "instance", (json_int_t)e->target->id));
        TAILQ_FOREACH(e, &i->edges_in, in_target)
        json_array_append_new(in,
                              json_pack("{s:s, s:I}", "module", e->caller->candidate->module->name, "instance", (json_int_t)e->caller->id));
        return json_pack("{s:o, s:o, s:I}", "calls", out, "called_by", in, "opened", (json_int_t)i->n_edges);
}

struct pairs {
        const struct instance *of;
        json_t *to, *from;
};

static void add_pair(const char *topic, const struct instance *publisher, const struct instance *subscriber, void *userdata) {
        struct pairs *pairs = userdata;
        const struct instance *other = publisher == pairs->of ? subscriber : publisher;

        json_array_append_new(
                publisher == pairs->of ? pairs->to : pairs->from,
                json_pack("{s:s, s:s, s:I}", "topic", topic, "module", other->candidate->module->name, "instance", (json_int_t)other->id));
}

static json_t *topics_json(const struct instance *i) {
        struct pairs pairs = { i, json_array(), json_array() };
        struct page_vitals v;

        instance_vitals(i, &v);
        topics_each(i, add_pair, &pairs);
        return json_pack("{s:o, s:o, s:I, s:I, s:I}", "subscribers", pairs.to, "publishers", pairs.from, "published",
                         (json_int_t)v.published, "received", (json_int_t)v.received, "lost", (json_int_t)v.topic_lost);
}

static json_t *instance_json(const struct manager *m, const struct instance *i, const struct control_inspected *k) {
        json_t *j = json_pack("{s:I, s:i, s:s, s:s, s:I}", "instance", (json_int_t)i->id, "pid", i->pid, "version",
                              i->candidate->manifest.version, "state", instance_state_name(i->state), "private_bytes",
                              (json_int_t)json_private_bytes(i));

        inspect_process(i->pid, k, j);
        set(j, "disk",
            json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)i->disk_size, "entries", (json_int_t)i->n_disk_entries, "limit",
                      (json_int_t)i->candidate->manifest.disk));
        set(j, "not_in_force", shortfalls_json(m, &i->candidate->manifest));
        set(j, "landlock", landlock_json(m, &i->candidate->manifest));
        set(j, "edges", peers_json(i));
        set(j, "topics", topics_json(i));
        set(j, "violations", violations_json(&i->violations));
        return j;
}

/* Asking ------------------------------------------------------------------------------------------------------------- */

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        ((struct inspection *)userdata)->req = NULL;
}

static void inspection_end(struct inspection *s) {
        json_t *j = s->module[0] ? json_pack("{s:s, s:O, s:o?}", "module", s->module, "instances", s->instances, "http",
                                             http_counts_json(s->manager, s->module))
                                 : json_pack("{s:O}", "roles", s->instances);

        if (s->req) {
                admin_on_gone(s->req, NULL, NULL);
                admin_reply(s->req, j);
        } else {
                json_decref(j);
        }
        TAILQ_REMOVE(&inspections, s, entry);
        json_decref(s->instances);
        free(s);
}

static json_t *worker_json(struct manager *m, const struct control_inspected *k) {
        const struct instance *i = instance_find(m, k->instance);

        return i ? instance_json(m, i, k) : NULL;
}

void inspect_on_record(struct manager *m, const struct control_record *record) {
        struct inspection *s;
        json_t *j;

        TAILQ_FOREACH(s, &inspections, entry) {
                if (record->header.request < s->first || record->header.request > s->last)
                        continue;
                j = s->module[0] ? worker_json(m, &record->INSPECTED) : role_inspected_json(m, &record->INSPECTED);
                if (j)
                        json_array_append_new(s->instances, j);
                if (!--s->n_waiting)
                        inspection_end(s);
                return;
        }
}

static void ask(struct inspection *s, uint64_t request) {
        s->last = request;
        s->first = s->first ? s->first : request;
        s->n_waiting++;
}

static void ask_workers(struct inspection *s, const struct module *mod) {
        const struct candidate *c;
        const struct instance *i;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                TAILQ_FOREACH(i, &c->instances, entry) {
                        if (i->id)
                                ask(s, base_link_inspect(s->manager, i->id));
                }
        }
}

static void ask_roles(struct inspection *s) {
        const struct manager *m = s->manager;

        ask(s, base_link_inspect_role(s->manager, m->hello.base_pid));
        for (uint32_t i = 0; i < m->n_roles; i++)
                if (m->roles[i].pid)
                        ask(s, base_link_inspect_role(s->manager, m->roles[i].pid));
}

void inspect_begin(struct manager *m, struct evhttp_request *req, struct module *mod) {
        struct inspection *s = calloc(1, sizeof(*s));

        if (s)
                s->instances = json_array();
        if (!s || !s->instances) {
                free(s);
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
                return;
        }
        s->manager = m;
        s->req = req;
        snprintf(s->module, sizeof(s->module), "%s", mod ? mod->name : "");
        TAILQ_INSERT_TAIL(&inspections, s, entry);
        admin_on_gone(req, on_client_gone, s);
        if (mod)
                ask_workers(s, mod);
        else
                ask_roles(s);
        if (!s->n_waiting)
                inspection_end(s);
}
