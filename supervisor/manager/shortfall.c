/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's layers are told once of all (status, --check-host); what one of
 * them means to a module whose manifest counts on it is told here of that one.
 */
#include "supervisor/manager/shortfall.h"

#include <stdio.h>
#include <string.h>

#include "conf/key-origins.h"
#include "conf/manifest.h"
#include "ipc/cleanup.h"
#include "ipc/host.h"
#include "supervisor/manager/manager.h"

struct shortfall {
        const char *section, *key;
        enum host_row row;
        bool asked;
};

uint32_t layers_in_force(const struct manager *m) {
        uint32_t bits = m->hello.enforced;

        for (uint32_t i = 0; i < m->n_roles; i++) {
                if (!strcmp(m->roles[i].name, "template"))
                        bits |= m->roles[i].enforced;
        }
        return bits;
}

#define SHORTFALLS_MAX 4

static size_t find(const struct manager *m, const struct manifest *man, struct shortfall found[static SHORTFALLS_MAX]) {
        const struct {
                const char *section, *key;
                enum host_row row;
                uint32_t any_of; /* in force, it holds */
                bool wanted;
        } table[SHORTFALLS_MAX] = {
                { "limits", "memory", HOST_CGROUP_MEMORY, ENFORCED_CGROUP_MEMORY, true },
                { "limits", "cpu", HOST_CGROUP_CPU, ENFORCED_CGROUP_CPU, man->cpu_percent },
                { "limits", "pids", HOST_CGROUP_PIDS, ENFORCED_CGROUP_PIDS, true },
                { "sandbox", "processes", HOST_PIDNS, ENFORCED_CGROUP | ENFORCED_PIDNS, man->processes },
        };
        uint32_t bits = layers_in_force(m);
        size_t n = 0;

        for (size_t i = 0; i < N_ELEMENTS(table); i++) {
                if (!table[i].wanted || bits & table[i].any_of)
                        continue;
                found[n++] = (struct shortfall){ table[i].section, table[i].key, table[i].row,
                                                 key_origin(&man->origins, table[i].section, table[i].key) != NULL };
        }
        return n;
}

json_t *shortfalls_json(const struct manager *m, const struct manifest *man) {
        struct shortfall found[SHORTFALLS_MAX];
        size_t n = find(m, man, found);
        json_t *list = json_array();
        char key[64];

        for (size_t i = 0; i < n; i++) {
                const struct host_info *row = &host_rows[found[i].row];

                snprintf(key, sizeof(key), "[%s] %s", found[i].section, found[i].key);
                json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "key", key, "layer", row->name, "fallback", row->without,
                                                      "asked", found[i].asked));
        }
        return list;
}

void shortfalls_text(const struct manager *m, const struct manifest *man, char *ret_text, size_t size) {
        struct shortfall found[SHORTFALLS_MAX];
        size_t n = find(m, man, found), used = 0;

        ret_text[0] = '\0';
        for (size_t i = 0; i < n && used < size; i++) {
                const struct host_info *row = &host_rows[found[i].row];

                if (found[i].asked)
                        used += (size_t)snprintf(ret_text + used, size - used, "%s[%s] %s (it takes %s; instead: %s)",
                                                 used ? ", " : "not in force on this host: ", found[i].section, found[i].key, row->name,
                                                 row->without);
        }
}
