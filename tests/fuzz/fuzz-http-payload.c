/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP's form on the bus: what is decoded can be encoded again, and then means
 * the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/http-payload.h"

#define CHECK(condition)                                                                                                                   \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                                 \
                        abort();                                                                                                           \
                }                                                                                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct http_text a, struct http_text b) {
        CHECK(a.size == b.size && !memcmp(a.text, b.text, a.size));
}

static void check_fields(const struct http_field *a, const struct http_field *b, uint32_t n) {
        for (uint32_t i = 0; i < n; i++) {
                check_text(a[i].name, b[i].name);
                check_text(a[i].value, b[i].value);
                CHECK(!memchr(a[i].value.text, '\n', a[i].value.size) && a[i].name.size);
        }
}

static void check_body(const void *a, size_t n, const void *b, size_t m) {
        CHECK(n == m && (!n || !memcmp(a, b, n)));
}

static void try_request(const uint8_t *data, size_t size) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX], again[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_request_payload a, b;
        uint8_t *encoded;
        uint32_t n;

        if (http_request_decode(data, size, fields, &a) < 0)
                return;
        CHECK(a.path.text[0] == '/');
        CHECK(http_request_encode(&a, &encoded, &n) == 0);
        CHECK(http_request_decode(encoded, n, again, &b) == 0);
        check_text(a.method, b.method);
        check_text(a.path, b.path);
        check_text(a.query, b.query);
        check_text(a.remote, b.remote);
        CHECK(a.secure == b.secure);
        CHECK(a.n_fields == b.n_fields);
        check_fields(a.fields, b.fields, a.n_fields);
        check_body(a.body, a.body_size, b.body, b.body_size);
        free(encoded);
}

static void try_reply(const uint8_t *data, size_t size) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX], again[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload a, b;
        uint8_t *encoded;
        uint32_t n;

        if (http_reply_decode(data, size, fields, &a) < 0)
                return;
        CHECK(a.status >= 100 && a.status <= 599);
        CHECK(http_reply_encode(&a, &encoded, &n) == 0);
        CHECK(http_reply_decode(encoded, n, again, &b) == 0);
        CHECK(a.status == b.status && a.n_fields == b.n_fields);
        check_fields(a.fields, b.fields, a.n_fields);
        check_body(a.body, a.body_size, b.body, b.body_size);
        free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ uint8_t *copy = malloc(size ? size : 1);

        if (size)
                memcpy(copy, data, size);
        try_request(copy, size);
        try_reply(copy, size);
        return 0;
}
