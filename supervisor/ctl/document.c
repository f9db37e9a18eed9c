/* SPDX-License-Identifier: Apache-2.0
 *
 * Tolerant getters and the one way in which JSON is printed.
 */
#include "supervisor/ctl/document.h"

#include <errno.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/text.h"

const char *document_text(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

json_int_t document_number(const json_t *object, const char *key) {
        const json_t *number = json_object_get(object, key);

        return json_is_integer(number) ? json_integer_value(number) : -1;
}

bool document_true(const json_t *object, const char *key) {
        return json_is_true(json_object_get(object, key));
}

bool document_false(const json_t *object, const char *key) {
        return json_is_false(json_object_get(object, key));
}

json_t *document_string(const char *text) {
        json_t *string = json_string(text);
        _cleanup_free_ char *clean = string ? NULL : text_clean(text);

        return clean ? json_string(clean) : string;
}

int document_print(const json_t *document, FILE *out) {
        _cleanup_free_ char *text = json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);

        if (!text)
                return -ENOMEM;
        fprintf(out, "%s\n", text);
        return 0;
}
