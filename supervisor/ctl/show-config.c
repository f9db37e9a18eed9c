/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration with the source of each value.
 */
#include "supervisor/ctl/show.h"

#include "ipc/cleanup.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/table.h"

int show_config(const json_t *config, FILE *out) {
        const json_t *keys = json_object_get(config, "keys"), *key;
        _cleanup_(table_deinit) struct table t;
        char name[256];
        size_t i;

        table_init(&t, "KEY VALUE SOURCE");
        json_array_foreach(keys, i, key) {
                snprintf(name, sizeof(name), "[%s] %s", document_text(key, "section"), document_text(key, "name"));
                table_add(&t, name);
                table_add(&t, document_text(key, "value"));
                table_add(&t, document_text(key, "source"));
        }
        return table_print(&t, out);
}
