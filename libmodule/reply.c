/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handler can answer.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/http-status.h"
#include "libmodule/file-answer.h"
#include "libmodule/request.h"

int reply_take(struct socle_reply *reply, int status, const char *type, void *body, size_t size) {
        char *copy;
        int r = reply->streamed ? -EALREADY : status < 200 || status > 599 ? -EINVAL : 0;

        if (r) {
                free(body);
                return r;
        }
        copy = arena_text(reply->arena, type, strlen(type));
        if (!copy) {
                free(body);
                return -ENOMEM;
        }
        free(reply->body);
        file_drop(reply);
        reply->status = status;
        reply->type = copy;
        reply->body = body;
        reply->body_size = size;
        return 0;
}

int socle_reply_text(struct socle_reply *reply, int status, const char *format, ...) {
        va_list args;
        char *text;
        int n;

        va_start(args, format);
        n = vasprintf(&text, format, args);
        va_end(args);
        if (n < 0)
                return -ENOMEM;
        return reply_take(reply, status, "text/plain; charset=utf-8", text, (size_t)n);
}

int socle_reply_data(struct socle_reply *reply, int status, const char *type, const void *data, size_t size) {
        void *copy = malloc(size ? size : 1);

        if (!copy)
                return -ENOMEM;
        if (size)
                memcpy(copy, data, size);
        return reply_take(reply, status, type, copy, size);
}

/* A JSON string's inside (RFC 8259 7). */
static void json_escape(FILE *f, const char *text) {
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if (c == '"' || c == '\\')
                        fprintf(f, "\\%c", c);
                else if (c < 0x20)
                        fprintf(f, "\\u%04x", c);
                else
                        fputc(c, f);
        }
}

int socle_reply_problem(struct socle_reply *reply, int status, const char *code, const char *detail) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        fprintf(f, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"", http_status_phrase(status), status);
        json_escape(f, code);
        fprintf(f, "\",\"detail\":\"");
        json_escape(f, detail);
        fprintf(f, "\"}\n");
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }
        return reply_take(reply, status, "application/problem+json", text, size);
}

static bool is_token(const char *name) {
        for (const char *p = name; *p; p++) {
                if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
                        return false;
        }
        return *name;
}

static bool is_value(const char *value) {
        for (; *value; value++) {
                if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
                        return false;
        }
        return true;
}

int socle_reply_header(struct socle_reply *reply, const char *name, const char *value) {
        static const char *const gateways[] = { "connection", "transfer-encoding", "content-length", "keep-alive", "upgrade", "trailer",
                                                "te" };
        struct reply_field *f = &reply->fields[reply->n_fields];

        if (!is_token(name) || !is_value(value) || reply->n_fields >= HTTP_PAYLOAD_HEADERS_MAX - 1)
                return -EINVAL;
        f->name = arena_text(reply->arena, name, strlen(name));
        f->value = arena_text(reply->arena, value, strlen(value));
        if (!f->name || !f->value)
                return -ENOMEM;
        for (char *p = f->name; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        for (size_t i = 0; i < N_ELEMENTS(gateways); i++) {
                if (!strcmp(f->name, gateways[i]))
                        return -EINVAL;
        }
        reply->n_fields++;
        return 0;
}

void reply_error(struct socle_reply *reply, int error, const char *detail) {
        const struct error_info *info = error_info(error);

        if (socle_reply_problem(reply, info->http_status, info->name, detail ? detail : info->meaning) < 0)
                reply->status = 500;
}

static struct http_field field_of(const char *name, const char *value) {
        return (struct http_field){ { name, (uint32_t)strlen(name) }, { value, (uint32_t)strlen(value) } };
}

/* What a file says of itself, and nobody else. */
static uint32_t put_file_fields(const struct reply_file *f, struct http_field fields[4]) {
        uint32_t n = 0;

        fields[n++] = field_of("etag", f->tag);
        fields[n++] = field_of("last-modified", f->modified);
        fields[n++] = field_of("accept-ranges", "bytes");
        if (f->content_range)
                fields[n++] = field_of("content-range", f->content_range);
        return n;
}

static bool is_files_own(const char *name) {
        static const char *const names[] = { "etag", "last-modified", "accept-ranges", "content-range" };

        for (size_t i = 0; i < N_ELEMENTS(names); i++) {
                if (!strcmp(name, names[i]))
                        return true;
        }
        return false;
}

int reply_encode(const struct socle_reply *reply, uint8_t **ret_data, uint32_t *ret_size) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX + 6]; /* with one too many it is refused */
        struct http_reply_payload p = { .status = reply->status, .fields = fields };
        bool typed = false;
        char length[24];

        for (uint32_t i = 0; i < reply->n_fields; i++) {
                const struct reply_field *f = &reply->fields[i];

                if (reply->file.tag && is_files_own(f->name))
                        continue;
                typed |= !strcmp(f->name, "content-type");
                fields[p.n_fields++] = field_of(f->name, f->value);
        }
        if (!typed && reply->type)
                fields[p.n_fields++] = field_of("content-type", reply->type);
        if (reply->has_length) {
                snprintf(length, sizeof(length), "%llu", (unsigned long long)reply->length);
                fields[p.n_fields++] = field_of("content-length", length);
        }
        if (reply->file.tag)
                p.n_fields += put_file_fields(&reply->file, fields + p.n_fields);
        p.is_file = reply->file.fd >= 0;
        if (p.is_file) {
                p.file_offset = reply->file.offset;
                p.file_size = reply->file.size;
        } else {
                p.body = reply->body;
                p.body_size = reply->body_size;
        }
        return http_reply_encode(&p, ret_data, ret_size);
}
