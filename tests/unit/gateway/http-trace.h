/* SPDX-License-Identifier: Apache-2.0
 *
 * Feeds bytes to the HTTP parser in given pieces and writes down what came out,
 * so that two ways to cut the same bytes can be compared as texts.
 *
 *   GET /a 1.1 keep {host: x; accept: y} "body".     a whole request
 *   ... 'expect' behind keep or close: 100-continue is expected
 *   !NAME                                            refused, see refusals.def
 *   ~                                                 a request has begun and is not whole
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/gateway/http-parser.h"

struct trace {
        struct http_parser parser;
        struct http_head head;
        char *text;
        size_t size, room;
        bool refused, in_request;
};

static inline void trace_put(struct trace *t, const char *text, size_t size) {
        if (t->size + size >= t->room) {
                t->room = 2 * (t->size + size) + 256;
                t->text = realloc(t->text, t->room);
                if (!t->text)
                        abort();
        }
        memcpy(t->text + t->size, text, size);
        t->size += size;
        t->text[t->size] = '\0';
}

static inline void trace_text(struct trace *t, const char *text) {
        trace_put(t, text, strlen(text));
}

static inline void trace_begin(struct trace *t) {
        memset(t, 0, sizeof(*t));
        http_parser_init(&t->parser);
        trace_put(t, "", 0);
}

static inline void trace_end(struct trace *t) {
        http_parser_deinit(&t->parser);
        free(t->text);
}

static inline void trace_head(struct trace *t) {
        const struct http_head *h = &t->head;

        t->in_request = true;
        trace_put(t, h->method.text, h->method.size);
        trace_text(t, " ");
        trace_put(t, h->target.text, h->target.size);
        trace_text(t, h->minor ? " 1.1 " : " 1.0 ");
        trace_text(t, h->keep_alive ? "keep " : "close ");
        trace_text(t, h->expects_continue ? "expect {" : "{");
        for (uint32_t i = 0; i < h->n_fields; i++) {
                trace_text(t, i ? "; " : "");
                trace_put(t, h->fields[i].name.text, h->fields[i].name.size);
                trace_text(t, ": ");
                trace_put(t, h->fields[i].value.text, h->fields[i].value.size);
        }
        trace_text(t, "} \"");
}

/* The bytes are copied into memory of exactly their size, so that a sanitizer sees a step too far. */
static inline void trace_feed(struct trace *t, const void *data, size_t size) {
        uint8_t *copy = malloc(size ? size : 1);
        struct http_input in = { copy, copy + size };
        const uint8_t *piece;
        size_t n;

        if (!copy)
                abort();
        memcpy(copy, data, size);
        while (!t->refused) {
                enum http_event event = http_parser_next(&t->parser, &in, &t->head, &piece, &n);

                if (event == HTTP_EVENT_MORE)
                        break;
                if (event == HTTP_EVENT_HEAD) {
                        trace_head(t);
                } else if (event == HTTP_EVENT_BODY) {
                        trace_put(t, (const char *)piece, n);
                } else if (event == HTTP_EVENT_END) {
                        trace_text(t, "\".");
                        t->in_request = false;
                } else {
                        trace_text(t, "!");
                        trace_text(t, event == HTTP_EVENT_REFUSED ? refusal_info(t->parser.refusal)->name : "memory");
                        t->refused = true;
                }
        }
        free(copy);
}

static inline void trace_finish(struct trace *t) {
        if (!t->refused && (t->in_request || http_parser_in_head(&t->parser)))
                trace_text(t, "~");
}
