/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's HTTP parser, the target parser and the encoding for the bus, the
 * way client.c drives them. The first byte says how the rest is cut: what comes
 * out must not depend on it, every request that is let through must be free of
 * what smuggling needs, and a module must be able to decode it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/gateway/chars.h"
#include "supervisor/gateway/target.h"
#include "tests/unit/gateway/http-trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_field(const struct http_field *f) {
        assert(f->name.size);
        for (uint32_t i = 0; i < f->name.size; i++)
                assert(char_is((uint8_t)f->name.text[i], CHAR_TOKEN) && !char_is((uint8_t)f->name.text[i], CHAR_UPPER));
        for (uint32_t i = 0; i < f->value.size; i++)
                assert(char_is((uint8_t)f->value.text[i], CHAR_VALUE));
}

static void check_path(const struct target *t) {
        assert(t->path[0] == '/' && strlen(t->path) == t->path_size);
        assert(!strstr(t->path, "//") && !strstr(t->path, "/../") && !strstr(t->path, "/./"));
        for (const char *at = t->host; *at; at++)
                assert(!char_is((uint8_t)*at, CHAR_UPPER) && *at != '/' && *at != '@');
}

/* What a module gets: it must decode to what was encoded. */
static void check_payload(const struct http_head *head, const struct target *t) {
        static struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_request_payload q = {
                .method = head->method,
                .path = { t->path, (uint32_t)t->path_size },
                .query = t->query,
                .fields = head->fields,
                .n_fields = head->n_fields,
        };
        struct http_request_payload decoded;
        uint32_t size;
        uint8_t *data;

        if (http_request_encode(&q, &data, &size) < 0)
                abort();
        if (http_request_decode(data, size, fields, &decoded) < 0)
                abort();
        assert(decoded.n_fields == head->n_fields && decoded.path.size == t->path_size);
        free(data);
}

static void check_head(const struct http_head *head) {
        static char path[HTTP_LINE_MAX + 2];
        struct target target;

        assert(!head->chunked || !head->has_length);
        assert(!head->chunked || head->minor == 1);
        for (uint32_t i = 0; i < head->n_fields; i++)
                check_field(&head->fields[i]);
        if (target_parse(head->method, head->target, head->host, path, &target))
                return;
        check_path(&target);
        check_payload(head, &target);
}

static void check_whole(const uint8_t *data, size_t size) {
        static struct http_head head;
        struct http_parser parser;
        struct http_input in;
        const uint8_t *piece;
        enum http_event event;
        uint8_t *copy = malloc(size ? size : 1);
        size_t n;

        if (!copy)
                return;
        memcpy(copy, data, size);
        in = (struct http_input){ copy, copy + size };
        http_parser_init(&parser);
        do {
                event = http_parser_next(&parser, &in, &head, &piece, &n);
                if (event == HTTP_EVENT_HEAD)
                        check_head(&head);
        } while (event == HTTP_EVENT_HEAD || event == HTTP_EVENT_BODY || event == HTTP_EVENT_END);
        http_parser_deinit(&parser);
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct trace whole, cut;
        size_t step;

        if (size < 2)
                return 0;
        step = 1 + data[0] % 40;
        data++;
        size--;
        check_whole(data, size);
        trace_begin(&whole);
        trace_begin(&cut);
        trace_feed(&whole, data, size);
        for (size_t at = 0; at < size; at += step)
                trace_feed(&cut, data + at, size - at < step ? size - at : step);
        trace_finish(&whole);
        trace_finish(&cut);
        assert(!strcmp(whole.text, cut.text));
        trace_end(&whole);
        trace_end(&cut);
        return 0;
}
