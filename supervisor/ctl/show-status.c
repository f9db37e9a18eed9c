/* SPDX-License-Identifier: Apache-2.0
 *
 * Status: numbers in tables, reasons as sentences below them.
 */
#include "supervisor/ctl/show.h"

#include <stdbool.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"

static void add_number(struct table *t, const json_t *object, const char *key) {
        table_add(t, text_number(document_number(object, key)).text);
}

static void add_uptime(struct table *t, const json_t *object) {
        json_int_t ms = document_number(object, "uptime_ms");

        table_add(t, ms < 0 ? "-" : text_duration_us((uint64_t)ms * 1000).text);
}

/* The base -------------------------------------------------------------------------------------------------------------- */

/* Of the first gateway that has said what its loop is made of: they do not differ for long. */
static const char *loop_of(const json_t *base) {
        const json_t *role;
        size_t i;

        json_array_foreach(json_object_get(base, "roles"), i, role) {
                if (*document_text(role, "loop"))
                        return document_text(role, "loop");
        }
        return "";
}

static void show_listen(const json_t *base, FILE *out) {
        const json_t *listen = json_object_get(base, "listen"), *address;
        size_t i;

        json_array_foreach(listen, i, address) {
                fputs(i ? ", " : "listening on ", out);
                text_put(out, json_string_value(address) ? json_string_value(address) : "?");
        }
        if (!i)
                return;
        text_line(out, *loop_of(base) ? " (" : "", loop_of(base), *loop_of(base) ? ")" : "");
}

static void show_base(const json_t *base, FILE *out) {
        json_int_t ms = document_number(base, "uptime_ms");
        uint64_t up_ms = ms < 0 ? 0 : (uint64_t)ms;

        text_line(out, "socled ", document_text(base, "version"), " \"", document_text(base, "name"), "\": pid ",
                  text_number(document_number(base, "pid")).text, ", ", document_text(base, "mode"), ", generation ",
                  text_number(document_number(base, "generation")).text, document_false(base, "ready") ? ", not yet ready" : "");
        text_line(out, "up ", text_duration_us(up_ms * 1000).text, " since ", document_text(base, "started"));
        show_listen(base, out);
        if (*document_text(json_object_get(base, "access_log"), "problem"))
                text_line(out, "NOT in force: [gateway] access-log = ", document_text(json_object_get(base, "access_log"), "to"), ": ",
                          document_text(json_object_get(base, "access_log"), "problem"));
}

static void show_missing(const json_t *base, FILE *out) {
        const json_t *missing = json_object_get(base, "missing"), *layer;
        size_t i;

        json_array_foreach(missing, i, layer) {
                const char *fallback = document_text(layer, "fallback");
                const char *fix = document_text(layer, "fix");
                bool none = !*fallback || !strcmp(fallback, "none");

                text_line(out, "NOT enforced: ", document_text(layer, "layer"), none ? "" : "; instead: ", none ? "" : fallback,
                          *fix ? "; it takes: " : "", fix);
        }
}

/* Those that it could ever have: with no_new_privs, nothing that it runs adds to what it is permitted. */
static const char *capabilities(const json_t *k, bool is_template) {
        const char *most = document_text(k, document_true(k, "no_new_privs") ? "cap_permitted" : "cap_bounding");

        if (!*most)
                return "-";
        if (!most[strspn(most, "0")])
                return "none";
        return is_template ? "its namespace's" : most;
}

/* What the kernel says of it; of Landlock, what it says itself. */
static void add_in_force(struct table *t, const json_t *k, bool is_template) {
        const char *effective = document_text(k, "cap_effective");

        table_add(t, capabilities(k, is_template));
        if (json_is_integer(json_object_get(k, "seccomp_filters")))
                add_number(t, k, "seccomp_filters");
        else
                table_add(t, *document_text(k, "seccomp") ? document_text(k, "seccomp") : "-");
        table_add(t, *effective ? document_true(k, "no_new_privs") ? "on" : "OFF" : "-");
        table_add(t, document_true(json_object_get(k, "told"), "landlock") ? "on" : "-");
}

static int show_roles(const json_t *base, FILE *out) {
        const json_t *roles = json_object_get(base, "roles"), *role;
        _cleanup_(table_deinit) struct table t;
        size_t i;

        table_init(&t, "ROLE >PID >UID >RESTARTS >UPTIME CAPABILITIES >FILTERS NO-NEW-PRIVS LANDLOCK");
        table_add(&t, "base");
        add_number(&t, base, "pid");
        add_number(&t, json_object_get(base, "in_force"), "uid");
        table_add(&t, "-");
        add_uptime(&t, base);
        add_in_force(&t, json_object_get(base, "in_force"), false);
        json_array_foreach(roles, i, role) {
                table_add(&t, document_text(role, "name"));
                add_number(&t, role, "pid");
                add_number(&t, role, "uid");
                add_number(&t, role, "restarts");
                add_uptime(&t, role);
                add_in_force(&t, json_object_get(role, "in_force"), !strcmp(document_text(role, "name"), "template"));
        }
        return table_print(&t, out);
}

/* Modules --------------------------------------------------------------------------------------------------------------- */

static const char module_headings[] = "MODULE VERSION STATE INSTANCE >PID >UID >UPTIME >MEMORY >REQUESTS >ERRORS >RESTARTS PREFIX";

/* "7", or "7 draining": an instance that is not ready says so. */
static void add_instance(struct table *t, const json_t *instance) {
        const char *state = document_text(instance, "state");
        bool plain = !*state || !strcmp(state, "ready");
        char text[96];

        snprintf(text, sizeof(text), "%s%s%.32s", text_number(document_number(instance, "id")).text, plain ? "" : " ", plain ? "" : state);
        table_add(t, text);
}

/* Of those that run side by side, the one that who names none gets. */
static bool is_chosen_of_several(const json_t *module, const json_t *version) {
        const json_t *other;
        unsigned n = 0;
        size_t i;

        json_array_foreach(json_object_get(module, "versions"), i, other) {
                n += !strcmp(document_text(other, "state"), "ACTIVE");
        }
        return n > 1 && json_is_true(json_object_get(version, "chosen"));
}

static void row_begin(struct table *t, const json_t *module, const json_t *version) {
        char text[64];

        table_add(t, document_text(module, "name"));
        table_add(t, document_text(version, "version"));
        snprintf(text, sizeof(text), "%.32s%s", document_text(version, "state"), is_chosen_of_several(module, version) ? ", chosen" : "");
        table_add(t, text);
}

static void row_of_instance(struct table *t, const json_t *module, const json_t *version, const json_t *instance) {
        json_int_t memory = document_number(instance, "private_bytes");

        row_begin(t, module, version);
        add_instance(t, instance);
        add_number(t, instance, "pid");
        add_number(t, instance, "uid");
        add_uptime(t, instance);
        table_add(t, memory < 0 ? "-" : text_size((uint64_t)memory).text);
        add_number(t, instance, "requests");
        add_number(t, instance, "errors");
        add_number(t, instance, "restarts");
        table_add(t, document_text(module, "prefix"));
}

/* A version without a process still has a state and has perhaps been restarted. */
static void row_of_version(struct table *t, const json_t *module, const json_t *version) {
        row_begin(t, module, version);
        for (unsigned i = 0; i < 7; i++)
                table_add(t, "-");
        add_number(t, version, "restarts");
        table_add(t, document_text(module, "prefix"));
}

/* One that waits for its package has none. */
static void row_without_version(struct table *t, const json_t *module) {
        table_add(t, document_text(module, "name"));
        table_add(t, "-");
        table_add(t, document_text(module, "state"));
        for (unsigned i = 0; i < 9; i++)
                table_add(t, "-");
}

static void rows_of_module(struct table *t, const json_t *module) {
        const json_t *versions = json_object_get(module, "versions"), *version, *instance;
        size_t i, k;

        json_array_foreach(versions, i, version) {
                const json_t *instances = json_object_get(version, "instances");

                json_array_foreach(instances, k, instance) row_of_instance(t, module, version, instance);
                if (!k)
                        row_of_version(t, module, version);
        }
        if (!i)
                row_without_version(t, module);
}

/* What the state does not say already. */
static const char *code_of(const json_t *version) {
        const char *code = document_text(version, "code");

        return strcmp(code, document_text(version, "state")) ? code : "";
}

static void show_hint(const json_t *object, FILE *out) {
        const char *hint = document_text(object, "hint");

        if (*hint)
                text_line(out, "  hint: ", hint);
}

/* Defaults that do not hold here are told once, of the host. */
static void show_not_in_force(const json_t *module, const json_t *version, FILE *out) {
        const json_t *item;
        size_t i;

        json_array_foreach(json_object_get(version, "not_in_force"), i, item) if (document_true(item, "asked"))
                text_line(out, document_text(module, "name"), " ", document_text(version, "version"), ": ", document_text(item, "key"),
                          " is not in force on this host; instead: ", document_text(item, "fallback"));
}

static void show_reasons(const json_t *module, FILE *out) {
        const json_t *versions = json_object_get(module, "versions"), *version;
        size_t i;

        if (!json_array_size(versions))
                text_line(out, document_text(module, "name"), " is ", document_text(module, "state"), ": ",
                          document_text(module, "reason"));
        else if (*document_text(module, "of"))
                text_line(out, document_text(module, "name"), " is of the package ", document_text(module, "of"));
        json_array_foreach(versions, i, version) {
                const char *code = code_of(version), *reason = document_text(version, "reason");
                bool serves = !strcmp(document_text(version, "state"), "ACTIVE");

                show_not_in_force(module, version, out);
                if (!*code && (!*reason || serves)) /* why it serves is history, and `soclectl history` tells it */
                        continue;
                text_line(out, document_text(module, "name"), " ", document_text(version, "version"), " is ",
                          document_text(version, "state"), ": ", code, *code && *reason ? ": " : "", reason);
                show_hint(version, out);
        }
}

int show_module(const json_t *module, FILE *out) {
        _cleanup_(table_deinit) struct table t;
        int r;

        table_init(&t, module_headings);
        rows_of_module(&t, module);
        r = table_print(&t, out);
        show_reasons(module, out);
        return r;
}

static int show_modules(const json_t *modules, FILE *out) {
        _cleanup_(table_deinit) struct table t;
        const json_t *module;
        size_t i;
        int r;

        table_init(&t, module_headings);
        json_array_foreach(modules, i, module) rows_of_module(&t, module);
        if (!table_rows(&t) && t.error == 0) {
                fputs("no modules: `soclectl deploy FILE` or a package in the drop directory makes one\n", out);
                return 0;
        }
        r = table_print(&t, out);
        json_array_foreach(modules, i, module) show_reasons(module, out);
        return r;
}

/* Health --------------------------------------------------------------------------------------------------------------- */

static int show_answers(const json_t *health, FILE *out) {
        const json_t *list = json_object_get(health, "instances"), *one;
        _cleanup_(table_deinit) struct table t;
        size_t i;

        table_init(&t, "MODULE VERSION >INSTANCE >PID RESULT >TOOK");
        json_array_foreach(list, i, one) {
                json_int_t us = document_number(one, "took_us");
                bool well = document_true(one, "healthy");

                table_add(&t, document_text(one, "module"));
                table_add(&t, document_text(one, "version"));
                add_number(&t, one, "instance");
                add_number(&t, one, "pid");
                table_add(&t, !well                         ? document_false(one, "healthy") ? "NOT healthy" : "no answer yet"
                              : document_false(one, "hook") ? "answers"
                                                            : "healthy");
                table_add(&t, us < 0 ? "-" : text_duration_us((uint64_t)us).text);
        }
        return table_rows(&t) ? table_print(&t, out) : 0;
}

int show_health(const json_t *health, const char *name, FILE *out) {
        const json_t *list = json_object_get(health, "unhealthy"), *version;
        size_t i;

        if (document_true(health, "healthy")) {
                text_line(out, name ? name : "the base", " is healthy");
                return show_answers(health, out);
        }
        text_line(out, name ? name : "the base", " is NOT healthy", document_false(health, "ready") ? ": it is still starting" : "");
        json_array_foreach(list, i, version) {
                const char *code = code_of(version), *reason = document_text(version, "reason");

                text_line(out, document_text(version, "module"), " ", document_text(version, "version"), " is ",
                          document_text(version, "state"), *code || *reason ? ": " : "", code, *code && *reason ? ": " : "", reason);
                show_hint(version, out);
        }
        return show_answers(health, out);
}

/* A refused file whose version is listed has told its reason there. */
static bool is_told(const json_t *modules, const char *file) {
        const json_t *module, *version;
        size_t i, k;

        json_array_foreach(modules, i, module) {
                const json_t *versions = json_object_get(module, "versions");

                json_array_foreach(versions, k, version) {
                        if (!strcmp(document_text(version, "file"), file) && *document_text(version, "reason"))
                                return true;
                }
        }
        return false;
}

static void show_refused(const json_t *file, FILE *out) {
        text_line(out, document_text(file, "file"), " is refused: ", document_text(file, "code"), ": ", document_text(file, "reason"));
        show_hint(file, out);
}

static void show_rejected(const json_t *status, FILE *out) {
        const json_t *rejected = json_object_get(status, "rejected"), *modules = json_object_get(status, "modules"), *file;
        size_t i;

        json_array_foreach(rejected, i, file) {
                if (!is_told(modules, document_text(file, "file")))
                        show_refused(file, out);
        }
}

int show_gateways(const json_t *document, FILE *out) {
        const json_t *gateways = json_object_get(document, "gateways"), *gateway;
        _cleanup_(table_deinit) struct table t;
        size_t i;

        table_init(&t, "GATEWAY >FORMER >PID");
        json_array_foreach(gateways, i, gateway) {
                table_add(&t, document_text(gateway, "name"));
                add_number(&t, gateway, "former");
                add_number(&t, gateway, "pid");
        }
        return table_print(&t, out);
}

int show_reload(const json_t *reload, FILE *out) {
        const json_t *later = json_object_get(reload, "later"), *name;
        size_t i;

        if (json_is_true(json_object_get(reload, "config")))
                text_line(out, "the configuration is read; ", text_number(document_number(reload, "keys")).text, " trusted keys");
        json_array_foreach(later, i, name) text_line(out, json_string_value(name), " has changed, and counts from the next start on", "");
        if (json_is_true(json_object_get(reload, "gateways")))
                text_line(out, "the gateways are replaced one by one, for [gateway] has changed (`soclectl events` shows when it is done)");
        show_rejected(reload, out);
        return 0;
}

int show_status(const json_t *status, FILE *out) {
        const json_t *base = json_object_get(status, "base");
        int r;

        show_base(base, out);
        show_missing(base, out);
        fputc('\n', out);
        r = show_roles(base, out);
        if (r < 0)
                return r;
        fputc('\n', out);
        r = show_modules(json_object_get(status, "modules"), out);
        show_rejected(status, out);
        return r;
}
