/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the access log: the first byte chooses the form, zeros end fields. What
 * holds whatever a request is made of: a line is one line without a control
 * character, no longer than it may be, and JSON is JSON.
 */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/access-line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next field: up to a zero, or all of the rest. */
static struct http_text next(const char **at, size_t *left) {
        const char *end = memchr(*at, '\0', *left);
        struct http_text t = { *at, (uint32_t)(end ? (size_t)(end - *at) : *left) };

        *left -= t.size + (end ? 1 : 0);
        *at += t.size + (end ? 1 : 0);
        return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        enum control_access_format form = size ? (enum control_access_format)(data[0] % ACCESS_N_FORMATS) : ACCESS_JSON;
        struct access_line line = { .time_ms = size * 1000003, .minor = size & 1 };
        const char *at = (const char *)data + (size ? 1 : 0);
        size_t left = size - (size ? 1 : 0), n, n_lines = 0;
        char *text = malloc(ACCESS_LINE_MAX);

        assert(text);
#define TEXT(name, journal, max) line.name = next(&at, &left);
#define NUMBER(name, journal) line.name = left * UINT64_C(0x9e3779b97f4a7c15) >> 1; /* what jansson holds */
#include "supervisor/common/access-fields.def"
        n = access_line_format(&line, form, text);
        assert(n && n <= ACCESS_LINE_MAX && text[n - 1] == '\n');
        for (size_t i = 0; i < n; i++) {
                n_lines += text[i] == '\n';
                assert(text[i] == '\n' || ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f));
        }
        assert(n_lines == (form == ACCESS_JOURNAL ? 17 : 1));
        if (form == ACCESS_JSON) {
                json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);

                assert(j);
                json_decref(j);
        }
        free(text);
        return 0;
}
