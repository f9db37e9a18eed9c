/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handler can ask of its request.
 */
#include "libmodule/request.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ipc/errors.h"
#include "ipc/fd.h"
#include "libmodule/stream.h"

struct socle_request *request_new(const struct frame *frame, uint8_t *payload, uint32_t size, int *ret_error) {
        struct socle_request *req = malloc(sizeof(*req));

        *ret_error = ERROR_NO_MEMORY;
        if (!req) {
                free(payload);
                return NULL;
        }
        memset(req, 0, offsetof(struct socle_request, reply.fields));
        req->task.frame = *frame;
        req->task.payload = payload;
        req->reply.arena = &req->task.arena;
        req->reply.file.fd = -1;
        if (http_request_decode(payload, size, req->fields, &req->http) < 0) {
                *ret_error = ERROR_BAD_REQUEST;
                return request_free(req);
        }
        if (frame->flags & FRAME_STREAM) {
                req->task.stream = stream_new(&req->task);
                if (!req->task.stream)
                        return request_free(req);
        }
        req->method = arena_text(&req->task.arena, req->http.method.text, req->http.method.size);
        req->path = arena_text(&req->task.arena, req->http.path.text, req->http.path.size);
        if (!req->method || !req->path)
                return request_free(req);
        req->task.name = (struct task_name){ req->http.method.text, req->http.path.text, req->http.method.size, req->http.path.size };
        /* Behind the body stands the head of the next item, which has been read: room for the terminating NUL. */
        payload[(const uint8_t *)req->http.body - payload + req->http.body_size] = '\0';
        return req;
}

struct socle_request *request_free(struct socle_request *req) {
        stream_free(req->task.stream);
        arena_deinit(&req->task.arena);
        free(req->reply.body);
        fd_close(req->reply.file.fd);
        free(req->task.payload);
        free(req);
        return NULL;
}

const char *socle_request_method(struct socle_request *req) {
        return req->method;
}

const char *socle_request_path(struct socle_request *req) {
        return req->path;
}

static int hex(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place; a '%' without two digits stands for itself. Returns the size. */
static size_t query_decode(char *text, size_t size) {
        size_t out = 0;

        for (size_t i = 0; i < size; i++) {
                if (text[i] == '%' && i + 2 < size && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
                        text[out++] = (char)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
                        i += 2;
                } else {
                        text[out++] = text[i] == '+' ? ' ' : text[i];
                }
        }
        return out;
}

static char *decoded(struct arena *arena, const char *text, size_t size) {
        char *copy = arena_text(arena, text, size);

        if (copy)
                copy[query_decode(copy, size)] = '\0';
        return copy;
}

const char *query_find(struct arena *arena, const char *query, size_t size, const char *name) {
        const char *end = query + size;

        while (query < end) {
                const char *stop = memchr(query, '&', (size_t)(end - query));
                const char *equals;
                char *key;

                if (!stop)
                        stop = end;
                equals = memchr(query, '=', (size_t)(stop - query));
                key = decoded(arena, query, (size_t)((equals ? equals : stop) - query));
                if (key && !strcmp(key, name))
                        return equals ? decoded(arena, equals + 1, (size_t)(stop - equals - 1)) : "";
                query = stop + 1;
        }
        return NULL;
}

const char *socle_request_query(struct socle_request *req, const char *name, const char *fallback) {
        const char *value = query_find(&req->task.arena, req->http.query.text, req->http.query.size, name);

        return value ? value : fallback;
}

const char *socle_request_header(struct socle_request *req, const char *name, const char *fallback) {
        size_t n = strlen(name);

        for (uint32_t i = 0; i < req->http.n_fields; i++) {
                const struct http_field *f = &req->fields[i];

                if (f->name.size == n && !strncasecmp(f->name.text, name, n)) {
                        const char *value = arena_text(&req->task.arena, f->value.text, f->value.size);

                        return value ? value : fallback;
                }
        }
        return fallback;
}

const char *socle_request_client(struct socle_request *req) {
        const char *client = arena_text(&req->task.arena, req->http.remote.text, req->http.remote.size);

        return client ? client : "";
}

const char *socle_request_scheme(struct socle_request *req) {
        return req->http.secure ? "https" : "http";
}

const void *socle_request_body(struct socle_request *req, size_t *ret_size) {
        *ret_size = req->http.body_size;
        return req->http.body;
}
