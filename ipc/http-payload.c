/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP over the bus. Encoding knows the size beforehand, so one allocation and
 * one pass suffice; decoding gives views.
 */
#include "ipc/http-payload.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"

/* Encoding ----------------------------------------------------------------------------------------------------------- */

struct writer {
        uint8_t *at;
};

static void put_head(struct writer *w, uint8_t type, uint64_t n, unsigned width) {
        *w->at++ = type;
        while (width--)
                *w->at++ = (uint8_t)(n >> (8 * width));
}

static void put_bytes(struct writer *w, const void *data, size_t n) {
        if (n)
                memcpy(w->at, data, n);
        w->at += n;
}

static void put_text(struct writer *w, struct http_text t) {
        if (t.size < 32)
                put_head(w, (uint8_t)(0xa0 | t.size), 0, 0);
        else if (t.size < 256)
                put_head(w, 0xd9, t.size, 1);
        else if (t.size < 65536)
                put_head(w, 0xda, t.size, 2);
        else
                put_head(w, 0xdb, t.size, 4);
        put_bytes(w, t.text, t.size);
}

static void put_fields(struct writer *w, const struct http_field *fields, uint32_t n) {
        put_head(w, 0xdc, n * 2, 2);
        for (uint32_t i = 0; i < n; i++) {
                put_text(w, fields[i].name);
                put_text(w, fields[i].value);
        }
}

static void put_body(struct writer *w, const void *body, size_t size) {
        put_head(w, 0xc6, size, 4);
        put_bytes(w, body, size);
}

static void put_file(struct writer *w, uint64_t offset, uint64_t size) {
        put_head(w, 0x92, 0, 0);
        put_head(w, 0xcf, offset, 8);
        put_head(w, 0xcf, size, 8);
}

static bool is_token_char(unsigned char c) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
                return true;
        return c && strchr("!#$%&'*+-.^_`|~", c);
}

/* RFC 9110 5.1 (a token; lower case on the bus) and 5.5 (no CR, LF, NUL). */
static bool field_ok(const struct http_field *f) {
        if (!f->name.size)
                return false;
        for (uint32_t i = 0; i < f->name.size; i++) {
                unsigned char c = (unsigned char)f->name.text[i];

                if (!is_token_char(c) || (c >= 'A' && c <= 'Z'))
                        return false;
        }
        for (uint32_t i = 0; i < f->value.size; i++) {
                unsigned char c = (unsigned char)f->value.text[i];

                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        return false;
        }
        return true;
}

/* As far as a file can reach. */
static bool is_range(uint64_t offset, uint64_t size) {
        return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

static int fields_size(const struct http_field *fields, uint32_t n, uint64_t *size) {
        if (n > HTTP_PAYLOAD_HEADERS_MAX)
                return -EINVAL;
        for (uint32_t i = 0; i < n; i++) {
                if (!field_ok(&fields[i]))
                        return -EINVAL;
                *size += 10 + (uint64_t)fields[i].name.size + fields[i].value.size;
        }
        return 0;
}

static int begin(struct writer *w, uint64_t size, uint8_t **ret_data) {
        if (size > UINT32_MAX)
                return -EINVAL;
        *ret_data = malloc(size);
        if (!*ret_data)
                return -ENOMEM;
        w->at = *ret_data;
        return 0;
}

int http_request_encode(const struct http_request_payload *q, uint8_t **ret_data, uint32_t *ret_size) {
        uint64_t size = 32 + (uint64_t)q->method.size + q->path.size + q->query.size + q->remote.size + q->body_size + 20;
        struct writer w;
        uint8_t *data;
        int r;

        r = fields_size(q->fields, q->n_fields, &size);
        if (r >= 0)
                r = begin(&w, size, &data);
        if (r < 0)
                return r;
        put_head(&w, 0x98, 0, 0);
        put_head(&w, HTTP_PAYLOAD_VERSION, 0, 0);
        put_text(&w, q->method);
        put_text(&w, q->path);
        put_text(&w, q->query);
        put_fields(&w, q->fields, q->n_fields);
        put_body(&w, q->body, q->body_size);
        put_text(&w, q->remote);
        put_head(&w, q->secure ? 0xc3 : 0xc2, 0, 0);
        *ret_size = (uint32_t)(w.at - data);
        *ret_data = data;
        return 0;
}

int http_reply_encode(const struct http_reply_payload *p, uint8_t **ret_data, uint32_t *ret_size) {
        uint64_t size = 32 + (uint64_t)p->body_size;
        struct writer w;
        uint8_t *data;
        int r;

        if (p->status < 100 || p->status > 599 || (p->is_file && (p->body_size || !is_range(p->file_offset, p->file_size))))
                return -EINVAL;
        r = fields_size(p->fields, p->n_fields, &size);
        if (r >= 0)
                r = begin(&w, size, &data);
        if (r < 0)
                return r;
        put_head(&w, 0x94, 0, 0);
        put_head(&w, HTTP_PAYLOAD_VERSION, 0, 0);
        put_head(&w, 0xcd, (uint64_t)p->status, 2);
        put_fields(&w, p->fields, p->n_fields);
        if (p->is_file)
                put_file(&w, p->file_offset, p->file_size);
        else
                put_body(&w, p->body, p->body_size);
        *ret_size = (uint32_t)(w.at - data);
        *ret_data = data;
        return 0;
}

/* Decoding ----------------------------------------------------------------------------------------------------------- */

static int take_text(struct value *v, struct http_text *ret) {
        const char *text;
        size_t size;

        if (value_get_str(v, &text, &size) < 0)
                return -EBADMSG;
        *ret = (struct http_text){ text, (uint32_t)size };
        value_next(v);
        return 0;
}

static int take_fields(struct value *v, struct http_field *fields, uint32_t *ret_n) {
        struct value at;
        uint32_t n;

        if (value_get_array(v, &n, &at) < 0 || n % 2 || n / 2 > HTTP_PAYLOAD_HEADERS_MAX)
                return -EBADMSG;
        for (uint32_t i = 0; i < n / 2; i++) {
                if (take_text(&at, &fields[i].name) < 0 || take_text(&at, &fields[i].value) < 0 || !field_ok(&fields[i]))
                        return -EBADMSG;
        }
        /* The cursor stands behind the last item: no second walk over them. */
        *v = at;
        *ret_n = n / 2;
        return 0;
}

static int take_body(struct value *v, const void **ret_body, size_t *ret_size) {
        if (value_get_bin(v, ret_body, ret_size) < 0)
                return -EBADMSG;
        value_next(v);
        return 0;
}

static int take_file(struct value *v, uint64_t *ret_offset, uint64_t *ret_size) {
        struct value at;
        int64_t offset, size;
        uint32_t n;

        if (value_get_array(v, &n, &at) < 0 || n != 2 || value_get_int(&at, &offset) < 0 || offset < 0)
                return -EBADMSG;
        value_next(&at);
        if (value_get_int(&at, &size) < 0 || size < 0 || !is_range((uint64_t)offset, (uint64_t)size))
                return -EBADMSG;
        value_next(v);
        *ret_offset = (uint64_t)offset;
        *ret_size = (uint64_t)size;
        return 0;
}

static int open_array(const void *data, size_t size, uint32_t want, struct value *ret_at) {
        struct value v;
        int64_t version;
        uint32_t n;

        if (value_check(data, size, &v, NULL) < 0 || value_get_array(&v, &n, ret_at) < 0 || n != want)
                return -EBADMSG;
        if (value_get_int(ret_at, &version) < 0 || version != HTTP_PAYLOAD_VERSION)
                return -EBADMSG;
        value_next(ret_at);
        return 0;
}

static bool has_nul(struct http_text t) {
        return t.size && memchr(t.text, '\0', t.size);
}

int http_request_decode(const void *data, size_t size, struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX],
                        struct http_request_payload *ret) {
        struct http_request_payload q = { .fields = fields };
        struct value at;

        if (open_array(data, size, 8, &at) < 0 || take_text(&at, &q.method) < 0 || take_text(&at, &q.path) < 0 ||
            take_text(&at, &q.query) < 0 || take_fields(&at, fields, &q.n_fields) < 0 || take_body(&at, &q.body, &q.body_size) < 0 ||
            take_text(&at, &q.remote) < 0 || value_get_bool(&at, &q.secure) < 0)
                return -EBADMSG;
        if (!q.method.size || !q.path.size || q.path.text[0] != '/' || has_nul(q.method) || has_nul(q.path) || has_nul(q.query) ||
            has_nul(q.remote))
                return -EBADMSG;
        *ret = q;
        return 0;
}

int http_reply_decode(const void *data, size_t size, struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX], struct http_reply_payload *ret) {
        struct http_reply_payload p = { .fields = fields };
        struct value at;
        int64_t status;

        if (open_array(data, size, 4, &at) < 0 || value_get_int(&at, &status) < 0 || status < 100 || status > 599)
                return -EBADMSG;
        p.status = (int)status;
        value_next(&at);
        if (take_fields(&at, fields, &p.n_fields) < 0)
                return -EBADMSG;
        p.is_file = value_type(&at) == VALUE_ARRAY;
        if (p.is_file ? take_file(&at, &p.file_offset, &p.file_size) < 0 : take_body(&at, &p.body, &p.body_size) < 0)
                return -EBADMSG;
        *ret = p;
        return 0;
}
