/* SPDX-License-Identifier: Apache-2.0
 *
 * From the tables of keys to JSON.
 */
#include "supervisor/manager/config-json.h"

#include "conf/base-config.h"
#include "conf/key-origins.h"
#include "conf/key-tables.h"
#include "conf/manifest.h"
#include "supervisor/manager/admin-json.h"

#define VALUE_SIZE 4096

static void add(json_t *list, const struct text_list *origins, const char *section, const char *name, const char *value,
                const char *fallback, const char *help) {
        const char *origin = key_origin(origins, section, name);

        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "section", section, "name", json_text(name), "value",
                                              json_text(value), "source", json_text(origin ? origin : "default"), "default", fallback,
                                              "help", help));
}

static json_t *keys_json(const struct key_table *table, const void *object, const struct text_list *origins) {
        json_t *list = json_array();
        char value[VALUE_SIZE];

        for (size_t i = 0; i < table->n_keys; i++) {
                const struct key *key = &table->keys[i];

                key_format(key, object, value, sizeof(value)); /* one that is cut is shown cut */
                add(list, origins, key->section, key->name, value, key->fallback ? key->fallback : "", key->text);
        }
        return list;
}

static void add_pairs(json_t *list, const struct text_list *origins, const char *section, const struct text_list *pairs) {
        for (size_t i = 0; i + 1 < pairs->n; i += 2)
                add(list, origins, section, pairs->items[i], pairs->items[i + 1], "", "the module's own");
}

json_t *config_json_base(const struct base_config *config) {
        return json_pack("{s:o}", "keys", keys_json(&base_config_table, config, &config->origins));
}

json_t *config_json_manifest(const struct manifest *man) {
        json_t *list = keys_json(&manifest_table, man, &man->origins);

        add_pairs(list, &man->origins, "env", &man->env);
        add_pairs(list, &man->origins, "config", &man->config);
        return json_pack("{s:o}", "keys", list);
}
