/* SPDX-License-Identifier: Apache-2.0
 *
 * Inspection. Everything that can be asked of the kernel is; what it does not
 * tell (Landlock's rules) is what was applied, and said to be that.
 */
#include "supervisor/manager/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/http-counts.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/topics.h"
#include "supervisor/manager/violations.h"

struct inspection {
        TAILQ_ENTRY(inspection) entry;
        struct manager *manager;
        struct evhttp_request *req; /* NULL: the client is gone */
        char module[CONTROL_NAME_SIZE];
        json_t *instances;
        uint32_t n_waiting;
        uint64_t first, last; /* requests to the base */
};
static TAILQ_HEAD(, inspection) inspections = TAILQ_HEAD_INITIALIZER(inspections);

/* /proc -------------------------------------------------------------------------------------------------------------- */

/* A small file of /proc or the cgroup file system, without a newline at its end. False: it cannot be read. */
static bool slurp(const char *path, char *text, size_t size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

        if (n < 0)
                return false;
        while (n > 0 && text[n - 1] == '\n')
                n--;
        text[n] = '\0';
        return true;
}

static void set(json_t *object, const char *key, json_t *value) {
        if (value)
                json_object_set_new(object, key, value);
}

/* X(line of /proc/PID/status, member, what of it) */
#define STATUS_LINES                                                                                                                       \
        X("Uid:", "uid", number)                                                                                                           \
        X("Gid:", "gid", number)                                                                                                           \
        X("Groups:", "groups", words)                                                                                                      \
        X("Threads:", "threads", number)                                                                                                   \
        X("NoNewPrivs:", "no_new_privs", flag)                                                                                             \
        X("Seccomp:", "seccomp", mode)                                                                                                     \
        X("Seccomp_filters:", "seccomp_filters", number)                                                                                   \
        X("CapInh:", "cap_inheritable", words)                                                                                             \
        X("CapPrm:", "cap_permitted", words)                                                                                               \
        X("CapEff:", "cap_effective", words)                                                                                               \
        X("CapBnd:", "cap_bounding", words)                                                                                                \
        X("CapAmb:", "cap_ambient", words)                                                                                                 \
        X("VmRSS:", "rss_bytes", kib)

static json_t *value_number(const char *text) {
        return json_integer((json_int_t)strtoull(text, NULL, 10));
}
static json_t *value_kib(const char *text) {
        return json_integer((json_int_t)strtoull(text, NULL, 10) * 1024);
}
static json_t *value_flag(const char *text) {
        return json_boolean(*text == '1');
}
static json_t *value_mode(const char *text) {
        return json_string(*text == '2' ? "filter" : *text == '1' ? "strict" : "off");
}
static json_t *value_words(const char *text) {
        size_t n = strlen(text);

        while (n && text[n - 1] == ' ')
                n--;
        return json_stringn(text, n);
}

static void status_line(const char *line, json_t *object) {
        static const struct {
                const char *begin, *member;
                json_t *(*value)(const char *text);
        } lines[] = {
#define X(begin, member, what) { begin, member, value_##what },
                STATUS_LINES
#undef X
        };

        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                size_t n = strlen(lines[i].begin);

                if (!strncmp(line, lines[i].begin, n))
                        set(object, lines[i].member, lines[i].value(line + n + strspn(line + n, " \t")));
        }
}

int inspect_parse_status(char *text, json_t *object) {
        char *line;

        while ((line = strsep(&text, "\n")))
                status_line(line, object);
        return json_object_get(object, "uid") && json_object_get(object, "no_new_privs") ? 0 : -EINVAL;
}

/* "Max open files            256                  256                  files": columns of fixed width. */
#define LIMITS_SOFT 26
#define LIMITS_WIDTH 21

int inspect_parse_limits(char *text, json_t *object) {
        static const struct {
                const char *begin, *member;
        } lines[] = {
                { "Max open files ", "files" },     { "Max processes ", "processes" },
                { "Max data size ", "data" },       { "Max core file size ", "core" },
                { "Max stack size ", "stack" },     { "Max address space ", "address_space" },
                { "Max locked memory ", "locked" }, { "Max msgqueue size ", "message_queues" },
                { "Max file size ", "file_size" },
        };
        json_t *limits = json_object();
        char *line;

        while ((line = strsep(&text, "\n"))) {
                for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                        char soft[LIMITS_WIDTH + 1] = "";

                        if (strncmp(line, lines[i].begin, strlen(lines[i].begin)) != 0 || strlen(line) <= LIMITS_SOFT)
                                continue;
                        snprintf(soft, sizeof(soft), "%.*s", (int)strcspn(line + LIMITS_SOFT, " "), line + LIMITS_SOFT);
                        set(limits, lines[i].member, !strcmp(soft, "unlimited") ? json_string(soft) : value_number(soft));
                }
        }
        set(object, "rlimits", limits);
        return json_object_size(limits) ? 0 : -EINVAL;
}

/* cgroup ------------------------------------------------------------------------------------------------------------- */

static void add_group_file(json_t *group, const char *folder, const char *file) {
        char path[1024], text[128];

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, file) < sizeof(path) && slurp(path, text, sizeof(text)))
                set(group, file, json_text(text));
}

/* A line of a file of many, such as "nr_throttled 3". */
static void add_group_count(json_t *group, const char *folder, const char *file, const char *key) {
        char path[1024], text[2048], member[64], *rest = text, *line;
        size_t n = strlen(key);

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, file) >= sizeof(path) || !slurp(path, text, sizeof(text)))
                return;
        snprintf(member, sizeof(member), "%s.%s", file, key);
        while ((line = strsep(&rest, "\n")))
                if (!strncmp(line, key, n) && line[n] == ' ')
                        set(group, member, value_number(line + n + 1));
}

static json_t *group_json(int32_t pid) {
        static const char *const files[] = { "memory.max", "memory.current", "memory.oom.group", "pids.max", "pids.current", "cpu.max" };
        /* How often, and of CPU time how long, the limits have been felt. */
        static const struct {
                const char *file, *key;
        } counts[] = {
                { "memory.events", "max" }, { "pids.events", "max" }, { "cpu.stat", "nr_throttled" }, { "cpu.stat", "throttled_usec" }
        };
        static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
        char path[64], text[2048], folder[1024] = "", *group;
        json_t *j;

        snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
        group = slurp(path, text, sizeof(text)) ? strstr(text, "0::") : NULL;
        if (!group)
                return json_null();
        group += 3;
        group[strcspn(group, "\n")] = '\0';
        j = json_pack("{s:o}", "path", json_text(group));
        for (size_t i = 0; i < N_ELEMENTS(mounts); i++) {
                if ((size_t)snprintf(folder, sizeof(folder), "%s%s", mounts[i], group) < sizeof(folder) && access(folder, F_OK) == 0)
                        break;
        }
        for (size_t i = 0; i < N_ELEMENTS(files); i++)
                add_group_file(j, folder, files[i]);
        for (size_t i = 0; i < N_ELEMENTS(counts); i++)
                add_group_count(j, folder, counts[i].file, counts[i].key);
        return j;
}

/* What the base has read ---------------------------------------------------------------------------------------------- */

static json_t *fds_json(const struct control_inspected *k) {
        static const char *const names[] = {
#define X(name) #name,
                INSPECT_FDS
#undef X
        };
        json_t *j = json_object();

        for (size_t i = 0; i < INSPECT_N_FDS; i++)
                set(j, names[i], json_integer(k->n_fds[i]));
        return j;
}

/* "own": another than the base's. */
static json_t *namespaces_json(const struct control_inspected *k) {
        static const char *const names[] = {
#define X(name) #name,
                INSPECT_NAMESPACES
#undef X
        };
        json_t *j = json_object();

        for (size_t i = 0; i < INSPECT_N_NS; i++) {
                if (k->ns[i])
                        set(j, names[i], json_pack("{s:I, s:b}", "inode", (json_int_t)k->ns[i], "own", k->ns[i] != k->base_ns[i]));
        }
        return j;
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
        char path[64], text[8192];

        snprintf(path, sizeof(path), "/proc/%d/status", i->pid);
        if (slurp(path, text, sizeof(text)))
                inspect_parse_status(text, j);
        snprintf(path, sizeof(path), "/proc/%d/limits", i->pid);
        if (slurp(path, text, sizeof(text)))
                inspect_parse_limits(text, j);
        set(j, "cgroup", group_json(i->pid));
        set(j, "fds", k->error ? json_null() : fds_json(k));
        set(j, "disk",
            json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)i->disk_size, "entries", (json_int_t)i->n_disk_entries, "limit",
                      (json_int_t)i->candidate->manifest.disk));
        set(j, "namespaces", namespaces_json(k));
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
        json_t *j = json_pack("{s:s, s:O, s:o?}", "module", s->module, "instances", s->instances, "http",
                              http_counts_json(s->manager, s->module));

        if (s->req) {
                evhttp_connection_set_closecb(evhttp_request_get_connection(s->req), NULL, NULL);
                admin_reply(s->req, j);
        } else {
                json_decref(j);
        }
        TAILQ_REMOVE(&inspections, s, entry);
        json_decref(s->instances);
        free(s);
}

void inspect_on_record(struct manager *m, const struct control_record *record) {
        const struct instance *i = instance_find(m, record->INSPECTED.instance);
        struct inspection *s;

        TAILQ_FOREACH(s, &inspections, entry) {
                if (record->header.request < s->first || record->header.request > s->last)
                        continue;
                if (i)
                        json_array_append_new(s->instances, instance_json(m, i, &record->INSPECTED));
                if (!--s->n_waiting)
                        inspection_end(s);
                return;
        }
}

static void ask_all(struct manager *m, struct inspection *s, const struct module *mod) {
        const struct candidate *c;
        const struct instance *i;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                TAILQ_FOREACH(i, &c->instances, entry) {
                        if (!i->id)
                                continue;
                        s->last = base_link_inspect(m, i->id);
                        s->first = s->first ? s->first : s->last;
                        s->n_waiting++;
                }
        }
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
        snprintf(s->module, sizeof(s->module), "%s", mod->name);
        TAILQ_INSERT_TAIL(&inspections, s, entry);
        evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_client_gone, s);
        ask_all(m, s, mod);
        if (!s->n_waiting)
                inspection_end(s);
}
