/* SPDX-License-Identifier: Apache-2.0
 *
 * From the tables of keys to JSON.
 */
#include "supervisor/manager/config-json.h"

#include <stdio.h>

#include "conf/base-config.h"
#include "conf/key-origins.h"
#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "conf/manifest-routes.h"
#include "supervisor/manager/admin-json.h"

#define VALUE_SIZE 4096

static void add(json_t *list, const struct text_list *origins, const char *section, const char *name, const char *value,
                const char *fallback, const char *help) {
        const char *origin = key_origin(origins, section, name);

        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:s, s:s}", "section", json_text(section), "name", json_text(name),
                                              "value", json_text(value), "source", json_text(origin ? origin : "default"), "default",
                                              fallback, "help", help));
}

/* section: under which its values stand; NULL: that of each key. */
static void add_keys(json_t *list, const struct key_table *table, const void *object, const struct text_list *origins,
                     const char *section) {
        char value[VALUE_SIZE];

        for (size_t i = 0; i < table->n_keys; i++) {
                const struct key *key = &table->keys[i];

                key_format(key, object, value, sizeof(value)); /* one that is cut is shown cut */
                add(list, origins, section ? section : key->section, key->name, value, key->fallback ? key->fallback : "", key->text);
        }
}

static void add_routes(json_t *list, const struct manifest *man) {
        char section[sizeof("route ") + 128];

        for (size_t i = 0; i < man->n_routes; i++) {
                snprintf(section, sizeof(section), "%s %s", manifest_route_group.name, man->routes[i].path);
                add_keys(list, manifest_route_group.table, &man->routes[i], &man->origins, section);
        }
}

static void add_pairs(json_t *list, const struct text_list *origins, const char *section, const struct text_list *pairs) {
        for (size_t i = 0; i + 1 < pairs->n; i += 2)
                add(list, origins, section, pairs->items[i], pairs->items[i + 1], "", "the module's own");
}

json_t *config_json_base(const struct base_config *config) {
        json_t *list = json_array();

        add_keys(list, &base_config_table, config, &config->origins, NULL);
        return json_pack("{s:o}", "keys", list);
}

json_t *config_json_manifest(const struct manifest *man) {
        json_t *list = json_array();

        add_keys(list, &manifest_table, man, &man->origins, NULL);
        add_routes(list, man);
        add_pairs(list, &man->origins, "env", &man->env);
        add_pairs(list, &man->origins, "config", &man->config);
        return json_pack("{s:o}", "keys", list);
}
