/* SPDX-License-Identifier: Apache-2.0
 *
 * llhttp's callbacks. Interim responses (1xx) are read over.
 */
#include "supervisor/ctl/response.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ipc/cleanup.h"

static struct response *response_of(llhttp_t *parser) {
        return parser->data;
}

static void append_begin(char *to, size_t to_size, const char *at, size_t size) {
        size_t n = strlen(to);

        size = MIN(size, to_size - 1 - n);
        memcpy(to + n, at, size);
        to[n + size] = '\0';
}

/* A header's name and value may come in pieces; a name after a value is the next header. */
static void header_end(struct response *r) {
        if (r->in_value && !strcasecmp(r->field, "content-type")) {
                r->value[strcspn(r->value, "; \t")] = '\0';
                for (size_t i = 0; i <= strlen(r->value); i++)
                        r->content_type[i] = (char)tolower((unsigned char)r->value[i]);
        }
        r->field[0] = r->value[0] = '\0';
        r->in_value = false;
}

static int on_begin(llhttp_t *parser) {
        struct response *r = response_of(parser);

        r->started = true;
        r->content_type[0] = r->field[0] = r->value[0] = '\0';
        r->in_value = false;
        return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t size) {
        struct response *r = response_of(parser);

        if (r->in_value)
                header_end(r);
        append_begin(r->field, sizeof(r->field), at, size);
        return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t size) {
        struct response *r = response_of(parser);

        r->in_value = true;
        append_begin(r->value, sizeof(r->value), at, size);
        return 0;
}

static int on_headers(llhttp_t *parser) {
        header_end(response_of(parser));
        return 0;
}

static int grow(struct response *r, size_t needed) {
        size_t n = r->n_allocated ? r->n_allocated : 4096;
        char *body;

        while (n < needed)
                n *= 2;
        if (n == r->n_allocated)
                return 0;
        body = realloc(r->body, n);
        if (!body)
                return -ENOMEM;
        r->body = body;
        r->n_allocated = n;
        return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size) {
        struct response *r = response_of(parser);

        if (r->on_piece && parser->status_code == 200) {
                r->error = r->on_piece(at, size, r->userdata) ? RESPONSE_E_ENOUGH : 0;
                return r->error ? -1 : 0;
        }
        if (size > r->max - r->size) {
                r->error = RESPONSE_E_TOO_LARGE;
                return -1;
        }
        r->error = grow(r, r->size + size + 1);
        if (r->error < 0)
                return -1;
        memcpy(r->body + r->size, at, size);
        r->size += size;
        r->body[r->size] = '\0';
        return 0;
}

static int on_complete(llhttp_t *parser) {
        struct response *r = response_of(parser);

        if (parser->status_code < 200)
                return 0;
        r->status = parser->status_code;
        r->complete = true;
        return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
        .on_message_begin = on_begin,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_headers,
        .on_body = on_body,
        .on_message_complete = on_complete,
};

void response_init(struct response *r, size_t max_body) {
        *r = (struct response){ .max = max_body };
        llhttp_init(&r->parser, HTTP_RESPONSE, &settings);
        r->parser.data = r;
}

void response_deinit(struct response *r) {
        free(r->body);
        r->body = NULL;
        r->size = r->n_allocated = 0;
}

static int outcome(const struct response *r, llhttp_errno_t e) {
        if (r->error)
                return r->error;
        return r->complete || e == HPE_OK ? 0 : RESPONSE_E_INVALID;
}

int response_feed(struct response *r, const void *data, size_t size) {
        if (r->error || r->complete)
                return r->error;
        return outcome(r, llhttp_execute(&r->parser, data, size));
}

int response_end(struct response *r) {
        if (!r->complete && !r->error && r->started && llhttp_finish(&r->parser) != HPE_OK && !r->complete)
                return RESPONSE_E_SHORT;
        if (r->error || r->complete)
                return r->error;
        return RESPONSE_E_SHORT;
}
