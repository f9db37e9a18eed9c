/* SPDX-License-Identifier: Apache-2.0
 *
 * What workers are and can reach.
 */
#include "supervisor/ctl/show.h"

#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"

static void line(FILE *out, const char *name, const char *value) {
        fprintf(out, "  %-14s ", name);
        text_line(out, *value ? value : "-");
}

/* "name 3, other 1": members that are numbers, with `all` also where there are none of it, or texts. */
static void members(const json_t *object, bool all, char *text, size_t size) {
        const char *key;
        json_t *value;

        *text = '\0';
        json_object_foreach((json_t *)object, key, value) {
                size_t n = strlen(text);

                if (json_is_integer(value) && (all || json_integer_value(value)))
                        snprintf(text + n, size - n, "%s%s %lld", n ? ", " : "", key, (long long)json_integer_value(value));
                else if (json_is_string(value))
                        snprintf(text + n, size - n, "%s%s %s", n ? ", " : "", key, json_string_value(value));
        }
}

static void show_members(FILE *out, const char *name, const json_t *object) {
        char text[1024];

        members(object, true, text, sizeof(text));
        line(out, name, text);
}

static void show_namespaces(const json_t *namespaces, FILE *out) {
        char text[256] = "";
        const char *key;
        json_t *ns;

        json_object_foreach((json_t *)namespaces, key, ns) {
                size_t n = strlen(text);

                snprintf(text + n, sizeof(text) - n, "%s%s%s", n ? ", " : "", document_true(ns, "own") ? "own " : "the base's ", key);
        }
        line(out, "namespaces", text);
}

static void show_list(const json_t *list, const char *name, const char *member, FILE *out) {
        const json_t *item;
        char text[2048] = "";
        size_t i;

        json_array_foreach(list, i, item) {
                size_t n = strlen(text);

                snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "",
                         member                 ? document_text(item, member)
                         : json_is_string(item) ? json_string_value(item)
                                                : "?");
        }
        line(out, name, text);
}

static void show_privileges(const json_t *i, FILE *out) {
        char text[256];

        snprintf(text, sizeof(text), "uid %s, gid %s, groups %s", text_number(document_number(i, "uid")).text,
                 text_number(document_number(i, "gid")).text, *document_text(i, "groups") ? document_text(i, "groups") : "none");
        line(out, "user", text);
        snprintf(text, sizeof(text), "effective %s, permitted %s, bounding %s, ambient %s", document_text(i, "cap_effective"),
                 document_text(i, "cap_permitted"), document_text(i, "cap_bounding"), document_text(i, "cap_ambient"));
        line(out, "capabilities", text);
        snprintf(text, sizeof(text), "seccomp %s (%s filters), no_new_privs %s", document_text(i, "seccomp"),
                 text_number(document_number(i, "seccomp_filters")).text, document_true(i, "no_new_privs") ? "on" : "OFF");
        line(out, "system calls", text);
}

static void show_memory(const json_t *i, FILE *out) {
        json_int_t own = document_number(i, "private_bytes"), rss = document_number(i, "rss_bytes");
        char text[128];

        snprintf(text, sizeof(text), "%s for itself, %s resident; threads %s", text_size((uint64_t)MAX(own, 0)).text,
                 text_size((uint64_t)MAX(rss, 0)).text, text_number(document_number(i, "threads")).text);
        line(out, "memory", text);
}

static void show_disk(const json_t *disk, FILE *out) {
        json_int_t bytes = document_number(disk, "bytes"), limit = document_number(disk, "limit");
        char text[128];

        snprintf(text, sizeof(text), "%s of %s, in %s files and folders", text_size((uint64_t)MAX(bytes, 0)).text,
                 text_size((uint64_t)MAX(limit, 0)).text, text_number(document_number(disk, "entries")).text);
        line(out, "disk", text);
}

static void show_pairs(const json_t *list, const char *name, FILE *out) {
        const json_t *item;
        char text[2048] = "";
        size_t i;

        json_array_foreach(list, i, item) {
                size_t n = strlen(text);

                snprintf(text + n, sizeof(text) - n, "%s%s (%s)", n ? ", " : "", document_text(item, "module"),
                         document_text(item, "topic"));
        }
        if (i)
                line(out, name, text);
}

/* Who has nothing to do with topics shows none. */
static void show_topics(const json_t *topics, FILE *out) {
        json_int_t published = document_number(topics, "published"), received = document_number(topics, "received"),
                   lost = document_number(topics, "lost");
        char text[128];

        show_pairs(json_object_get(topics, "subscribers"), "subscribers", out);
        show_pairs(json_object_get(topics, "publishers"), "subscribed to", out);
        if (published <= 0 && received <= 0 && lost <= 0)
                return;
        snprintf(text, sizeof(text), "%s published, %s received, %s lost", text_number(published).text, text_number(received).text,
                 text_number(lost).text);
        line(out, "messages", text);
}

/* What others have noticed of it, and it of others. */
static void show_violations(const json_t *violations, FILE *out) {
        json_int_t n = document_number(violations, "n"), noticed = document_number(violations, "noticed");
        char text[256];

        if (n > 0)
                snprintf(text, sizeof(text), "broke the bus protocol %s times, the last: %s; noticed %s times that others did",
                         text_number(n).text, document_text(violations, "last"), text_number(MAX(noticed, 0)).text);
        else
                snprintf(text, sizeof(text), "none; noticed %s times that others broke the bus protocol",
                         text_number(MAX(noticed, 0)).text);
        line(out, "violations", text);
}

static void show_instance(const json_t *i, FILE *out) {
        const json_t *landlock = json_object_get(i, "landlock"), *edges = json_object_get(i, "edges");

        text_line(out, "instance ", text_number(document_number(i, "instance")).text, ": version ", document_text(i, "version"), ", pid ",
                  text_number(document_number(i, "pid")).text, ", ", document_text(i, "state"));
        show_privileges(i, out);
        show_namespaces(json_object_get(i, "namespaces"), out);
        line(out, "landlock", document_true(landlock, "applied") ? "applied" : "NOT applied");
        show_list(json_object_get(landlock, "read"), "  may read", NULL, out);
        show_list(json_object_get(landlock, "write"), "  may write", NULL, out);
        show_members(out, "cgroup", json_object_get(i, "cgroup"));
        show_members(out, "rlimits", json_object_get(i, "rlimits"));
        show_list(json_object_get(i, "not_in_force"), "not in force", "key", out);
        show_members(out, "descriptors", json_object_get(i, "fds"));
        show_memory(i, out);
        show_disk(json_object_get(i, "disk"), out);
        show_list(json_object_get(edges, "calls"), "calls", "module", out);
        show_list(json_object_get(edges, "called_by"), "called by", "module", out);
        show_topics(json_object_get(i, "topics"), out);
        show_violations(json_object_get(i, "violations"), out);
}

static void add_route(struct table *t, const char *name, const json_t *counts) {
        char text[128];

        table_add(t, name);
        table_add(t, text_number(document_number(counts, "requests")).text);
        members(json_object_get(counts, "by_class"), false, text, sizeof(text));
        table_add(t, *text ? text : "-");
        table_add(t, text_number(document_number(counts, "aborted")).text);
        table_add(t, text_size((uint64_t)MAX(document_number(counts, "bytes_in"), 0)).text);
        table_add(t, text_size((uint64_t)MAX(document_number(counts, "bytes_out"), 0)).text);
        table_add(t, text_duration_us((uint64_t)MAX(document_number(counts, "p50_us"), 0)).text);
        table_add(t, text_duration_us((uint64_t)MAX(document_number(counts, "p99_us"), 0)).text);
}

/* Routes have lines of their own where the module has any. */
static int show_http(const json_t *http, FILE *out) {
        const json_t *routes = json_object_get(http, "routes"), *route;
        _cleanup_(table_deinit) struct table t = { 0 };
        size_t i;

        if (document_number(http, "requests") <= 0 && document_number(http, "aborted") <= 0)
                return 0;
        fputc('\n', out);
        table_init(&t, "HTTP REQUESTS STATUS ABORTED IN OUT P50 P99");
        add_route(&t, "all", http);
        json_array_foreach(routes, i, route) {
                if (json_array_size(routes) > 1)
                        add_route(&t, *document_text(route, "route") ? document_text(route, "route") : "no route", route);
        }
        return table_print(&t, out);
}

int show_inspection(const json_t *inspection, FILE *out) {
        const json_t *list = json_object_get(inspection, "instances"), *instance;
        size_t i;

        json_array_foreach(list, i, instance) {
                if (i)
                        fputc('\n', out);
                show_instance(instance, out);
        }
        if (!json_array_size(list))
                text_line(out, document_text(inspection, "module"), " has no worker: `soclectl status` says why");
        return show_http(json_object_get(inspection, "http"), out);
}

static void show_role(const json_t *role, FILE *out) {
        const json_t *may = json_object_get(role, "may"), *row;
        size_t i;

        text_line(out, document_text(role, "name"), ": pid ", text_number(document_number(role, "pid")).text);
        show_privileges(role, out);
        show_namespaces(json_object_get(role, "namespaces"), out);
        line(out, "landlock", document_true(json_object_get(role, "told"), "landlock") ? "on, as it says" : "NOT on, as it says");
        show_members(out, "cgroup", json_object_get(role, "cgroup"));
        show_members(out, "rlimits", json_object_get(role, "rlimits"));
        show_members(out, "descriptors", json_object_get(role, "fds"));
        json_array_foreach(may, i, row) {
                fprintf(out, "  %-14s ", i ? "" : "may");
                text_line(out, document_text(row, "may"), " (", document_text(row, "why"), ")");
        }
}

int show_inspected_roles(const json_t *inspection, FILE *out) {
        const json_t *role;
        size_t i;

        json_array_foreach(json_object_get(inspection, "roles"), i, role) {
                if (i)
                        fputc('\n', out);
                show_role(role, out);
        }
        return 0;
}
