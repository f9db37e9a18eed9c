/* SPDX-License-Identifier: Apache-2.0
 *
 * Serialising answers. Framing (Content-Length), the connection and Server, Date
 * are the gateway's; a module that sets them is not heard. Names and values were
 * checked when the reply was decoded, so no line can be smuggled in here.
 */
#include "supervisor/gateway/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/http-date.h"
#include "ipc/http-status.h"
#include "supervisor/gateway/digits.h"

/* Writes as long as nothing failed. */
struct writer {
        struct output *out;
        int r;
};

static void put(struct writer *w, const void *data, size_t size) {
        if (w->r >= 0)
                w->r = output_append(w->out, data, size);
}

#define PUT(w, literal) put((w), (literal), sizeof(literal) - 1)

static void put_number(struct writer *w, uint64_t n) {
        char buffer[DIGITS_MAX];
        const char *at = digits_of(n, buffer);

        put(w, at, (size_t)(buffer + DIGITS_MAX - at));
}

#define NAME(text)                                                                                                                         \
        { text, sizeof(text) - 1 }

/* RFC 9110 7.6.1 and what the gateway says itself. */
static bool field_passed_on(const struct http_field *f) {
        static const struct {
                const char *text;
                uint32_t size;
        } kept_back[] = { NAME("connection"), NAME("content-length"), NAME("transfer-encoding"), NAME("date"),
                          NAME("server"),     NAME("keep-alive"),     NAME("proxy-connection"),  NAME("te"),
                          NAME("trailer"),    NAME("upgrade") };

        for (size_t i = 0; i < N_ELEMENTS(kept_back); i++) {
                if (f->name.size == kept_back[i].size && !memcmp(f->name.text, kept_back[i].text, f->name.size))
                        return false;
        }
        return true;
}

static void put_fields(struct writer *w, const struct response *response) {
        for (uint32_t i = 0; i < response->n_fields; i++) {
                const struct http_field *f = &response->fields[i];

                if (!field_passed_on(f))
                        continue;
                put(w, f->name.text, f->name.size);
                PUT(w, ": ");
                put(w, f->value.text, f->value.size);
                PUT(w, "\r\n");
        }
}

static void put_status(struct writer *w, int status) {
        const char *reason;

        if (status == 200) {
                PUT(w, "HTTP/1.1 200 OK\r\n");
                return;
        }
        reason = http_status_phrase(status);
        PUT(w, "HTTP/1.1 ");
        put_number(w, (uint64_t)status);
        PUT(w, " ");
        put(w, reason, strlen(reason));
        PUT(w, "\r\n");
}

bool response_has_body(int status, bool head) {
        return !head && status != 204 && status != 205 && status != 304;
}

bool response_is_chunked(const struct response *response, const struct response_context *context) {
        return response->streamed && response->length == RESPONSE_NO_LENGTH && context->minor &&
               response_has_body(response->status, context->head);
}

static uint64_t response_size(const struct response *response) {
        if (response->file)
                return response->file->size;
        return response->streamed ? response->length : response->body_size;
}

/* RFC 9110 8.6: none with 204; with 304 and HEAD only what GET would have had, which an empty body does not tell. */
static bool has_length(const struct response *response, const struct response_context *context) {
        if (response->status == 204 || response->status == 304)
                return false;
        if (response->status == 205)
                return true;
        if (response->streamed)
                return response->length != RESPONSE_NO_LENGTH;
        return response->file || response->body_size || !context->head;
}

static void put_framing(struct writer *w, const struct response *response, const struct response_context *context) {
        if (response_is_chunked(response, context))
                PUT(w, "Transfer-Encoding: chunked\r\n");
        if (!has_length(response, context))
                return;
        PUT(w, "Content-Length: ");
        put_number(w, response->status == 205 ? 0 : response_size(response));
        PUT(w, "\r\n");
}

static void put_head(struct writer *w, const struct response *response, const struct response_context *context) {
        put_status(w, response->status);
        PUT(w, "Server: socle\r\nDate: ");
        put(w, context->date, HTTP_DATE_SIZE - 1);
        PUT(w, "\r\n");
        put_fields(w, response);
        put_framing(w, response, context);
        if (!context->keep_alive)
                PUT(w, "Connection: close\r\n");
        else if (context->minor == 0)
                PUT(w, "Connection: keep-alive\r\n");
        PUT(w, "\r\n");
}

int response_write_head(struct output *out, const struct response *response, const struct response_context *context) {
        struct writer w = { .out = out };

        put_head(&w, response, context);
        return w.r;
}

int response_write_piece(struct output *out, const void *data, size_t size, bool chunked) {
        struct writer w = { .out = out };
        char line[20];

        if (chunked)
                put(&w, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", size));
        put(&w, data, size);
        if (chunked)
                PUT(&w, "\r\n");
        return w.r;
}

int response_write_end(struct output *out, bool chunked) {
        return chunked ? output_append(out, "0\r\n\r\n", 5) : 0;
}

static int put_file(struct writer *w, const struct response_file *file, bool wanted) {
        if (w->r >= 0 && wanted)
                return output_take_file(w->out, file->fd, file->offset, file->size);
        fd_close(file->fd);
        return w->r;
}

int response_write(struct output *out, const struct response *response, const struct response_context *context) {
        struct writer w = { .out = out };
        uint8_t *taken = response->taken;

        put_head(&w, response, context);
        if (response->file)
                return put_file(&w, response->file, response->file->size && response_has_body(response->status, context->head));
        if (w.r >= 0 && response->body_size && response_has_body(response->status, context->head)) {
                if (taken && response->body_size > RESPONSE_COPY_MAX)
                        return output_take(out, taken, (uint8_t *)(uintptr_t)response->body, response->body_size);
                put(&w, response->body, response->body_size);
        }
        free(taken);
        return w.r;
}
