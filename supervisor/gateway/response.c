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
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/http-status.h"

void response_date(uint64_t realtime_s, char ret_date[RESPONSE_DATE_SIZE]) {
        static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t t = (time_t)realtime_s;
        char text[80];
        struct tm tm;

        gmtime_r(&t, &tm);
        snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        memcpy(ret_date, text, RESPONSE_DATE_SIZE - 1);
        ret_date[RESPONSE_DATE_SIZE - 1] = '\0';
}

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
        char digits[20], *at = digits + sizeof(digits);

        do {
                *--at = (char)('0' + n % 10);
                n /= 10;
        } while (n);
        put(w, at, (size_t)(digits + sizeof(digits) - at));
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

/* RFC 9110 8.6: none with 204; with 304 and HEAD only what GET would have had, which an empty body does not tell. */
static bool has_length(const struct response *response, const struct response_context *context) {
        if (response->status == 204 || response->status == 304)
                return false;
        if (response->status == 205)
                return true;
        return response->streamed ? response->length != RESPONSE_NO_LENGTH : response->body_size || !context->head;
}

static void put_framing(struct writer *w, const struct response *response, const struct response_context *context) {
        if (response_is_chunked(response, context))
                PUT(w, "Transfer-Encoding: chunked\r\n");
        if (!has_length(response, context))
                return;
        PUT(w, "Content-Length: ");
        put_number(w, response->status == 205 ? 0 : response->streamed ? response->length : response->body_size);
        PUT(w, "\r\n");
}

static void put_head(struct writer *w, const struct response *response, const struct response_context *context) {
        put_status(w, response->status);
        PUT(w, "Server: socle\r\nDate: ");
        put(w, context->date, RESPONSE_DATE_SIZE - 1);
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

int response_write(struct output *out, const struct response *response, const struct response_context *context) {
        struct writer w = { .out = out };
        uint8_t *taken = response->taken;

        put_head(&w, response, context);
        if (w.r >= 0 && response->body_size && response_has_body(response->status, context->head)) {
                if (taken && response->body_size > RESPONSE_COPY_MAX)
                        return output_take(out, taken, (uint8_t *)(uintptr_t)response->body, response->body_size);
                put(&w, response->body, response->body_size);
        }
        free(taken);
        return w.r;
}
