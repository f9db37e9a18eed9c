/* SPDX-License-Identifier: Apache-2.0
 *
 * The members are those of a worker's inspection.
 */
#include "supervisor/manager/inspect-role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/host.h"
#include "supervisor/common/confine-text.h"
#include "supervisor/common/confine.h"
#include "supervisor/manager/inspect-process.h"

static json_t *in_force(int32_t pid, uint32_t told) {
        json_t *j = json_object();

        if (pid)
                inspect_status(pid, j);
        json_object_set_new(j, "told", json_pack("{s:b}", "landlock", !!(told & ENFORCED_LANDLOCK)));
        return j;
}

json_t *role_in_force_json(const struct control_role *role) {
        return in_force(role->pid, role->enforced);
}

json_t *base_in_force_json(const struct manager *m) {
        return in_force(m->hello.base_pid, m->hello.confined);
}

/* "gateway-2" is a socle-gateway, "base" is socled. The template has tables of its own. */
static bool is_of(const struct confine_line *line, const char *name) {
        size_t n = strcspn(name, "-");

        if (!strcmp(name, "base"))
                return line->role == CONFINE_BASE;
        return line->role != CONFINE_BASE && !strncmp(line->what, "socle-", 6) && !strncmp(line->what + 6, name, n) && !line->what[6 + n];
}

static void add_line(json_t *list, unsigned line, unsigned *ret_next) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out) {
                *ret_next = line + 1;
                return;
        }
        *ret_next = confine_text(line, "", out);
        fclose(out);
        json_array_append_new(list, json_pack("{s:s, s:s}", "may", text, "why", confine_lines[line].why));
}

/* Rootless there are no capabilities to keep. */
static json_t *may_json(const char *name, bool root) {
        enum confine_role role = N_CONFINE_ROLES;
        json_t *list = json_array();

        for (unsigned i = 0, next; i < n_confine_lines; i = next) {
                next = i + 1;
                if (confine_lines[i].kind == CONFINE_ROLE && is_of(&confine_lines[i], name))
                        role = confine_lines[i].role;
                if (confine_lines[i].role == role && (root || confine_lines[i].kind != CONFINE_CAPABILITY))
                        add_line(list, i, &next);
        }
        return list;
}

json_t *role_inspected_json(const struct manager *m, const struct control_inspected *k) {
        const struct control_role *role = NULL;
        bool is_base = k->instance == (uint64_t)m->hello.base_pid;
        const char *name;
        json_t *j;

        for (uint32_t i = 0; i < m->n_roles; i++)
                if (m->roles[i].pid && k->instance == (uint64_t)m->roles[i].pid)
                        role = &m->roles[i];
        if (!role && !is_base)
                return NULL;
        name = is_base ? "base" : role->name;
        j = json_pack("{s:s, s:i, s:o}", "name", name, "pid", (int)k->instance, "told",
                      json_pack("{s:b}", "landlock", !!((is_base ? m->hello.confined : role->enforced) & ENFORCED_LANDLOCK)));
        inspect_process((int32_t)k->instance, k, j);
        json_object_set_new(j, "may", may_json(name, m->hello.root));
        return j;
}
