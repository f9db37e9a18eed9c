/* SPDX-License-Identifier: Apache-2.0
 *
 * llhttp reads the head, and is stopped before the body. What decides about
 * where the request ends (Content-Length, Transfer-Encoding), where it goes
 * (Host) and what a field may consist of is then judged here, by the letter of
 * RFC 9112, whatever version and leniency of llhttp is linked.
 */
#include "supervisor/gateway/http-head.h"

#include <llhttp.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/chars.h"
#include "supervisor/gateway/forwarded.h"

#define HEAD_OF(parser) ((struct reading *)(parser)->data)

/* A head while llhttp goes over it. */
struct reading {
        struct http_head *head;
        int refusal;
        bool complete, in_value;
        bool close, keep_alive; /* said by Connection */
        bool names_fields;      /* Connection names others besides these two */
        uint32_t n_hosts, n_lengths, n_codings;
};

/* llhttp's callbacks --------------------------------------------------------------------------------------------------- */

/* The head lies in one piece, so that a second call for one element can only continue the first. */
static int extend(struct http_text *text, const char *at, size_t size) {
        if (!text->text)
                *text = (struct http_text){ at, (uint32_t)size };
        else if (text->text + text->size == at)
                text->size += (uint32_t)size;
        else
                return -1;
        return 0;
}

static int on_method(llhttp_t *parser, const char *at, size_t size) {
        return extend(&HEAD_OF(parser)->head->method, at, size);
}

static int on_url(llhttp_t *parser, const char *at, size_t size) {
        return extend(&HEAD_OF(parser)->head->target, at, size);
}

static int on_field(llhttp_t *parser, const char *at, size_t size) {
        struct reading *r = HEAD_OF(parser);
        struct http_head *head = r->head;

        if (r->in_value || !head->n_fields) {
                if (head->n_fields == HTTP_PAYLOAD_HEADERS_MAX) {
                        r->refusal = REFUSAL_TOO_MANY_FIELDS;
                        return -1;
                }
                r->in_value = false;
                head->fields[head->n_fields++] = (struct http_field){ 0 };
        }
        return extend(&head->fields[head->n_fields - 1].name, at, size);
}

static int on_value(llhttp_t *parser, const char *at, size_t size) {
        struct reading *r = HEAD_OF(parser);

        r->in_value = true;
        return extend(&r->head->fields[r->head->n_fields - 1].value, at, size);
}

static int on_value_complete(llhttp_t *parser) {
        HEAD_OF(parser)->in_value = true;
        return 0;
}

static int on_headers_complete(llhttp_t *parser) {
        HEAD_OF(parser)->complete = true;
        return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
        .on_method = on_method,
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_header_value_complete = on_value_complete,
        .on_headers_complete = on_headers_complete,
};

/* Texts ---------------------------------------------------------------------------------------------------------------- */

static bool text_is(struct http_text t, const char *lower) {
        size_t n = strlen(lower);

        if (t.size != n)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (char_lower((uint8_t)t.text[i]) != (uint8_t)lower[i])
                        return false;
        }
        return true;
}

static bool text_all(struct http_text t, enum char_class class) {
        for (uint32_t i = 0; i < t.size; i++) {
                if (!char_is((uint8_t)t.text[i], class))
                        return false;
        }
        return true;
}

static struct http_text text_trim(struct http_text t) {
        while (t.size && char_is((uint8_t)t.text[0], CHAR_BLANK))
                t = (struct http_text){ t.text + 1, t.size - 1 };
        while (t.size && char_is((uint8_t)t.text[t.size - 1], CHAR_BLANK))
                t.size--;
        return t;
}

/* The next item of a list with commas (RFC 9110 5.6.1), empty ones left out. */
static bool list_next(struct http_text *list, struct http_text *ret_item) {
        while (list->size) {
                const char *comma = memchr(list->text, ',', list->size);
                uint32_t n = comma ? (uint32_t)(comma - list->text) : list->size, step = MIN(n + 1, list->size);

                *ret_item = text_trim((struct http_text){ list->text, n });
                *list = (struct http_text){ list->text + step, list->size - step };
                if (ret_item->size)
                        return true;
        }
        return false;
}

/* Fields that this hop reads ------------------------------------------------------------------------------------------- */

static int on_host(struct reading *r, struct http_text value) {
        r->head->host = value;
        return r->n_hosts++ ? REFUSAL_HOST_TWICE : 0;
}

static int on_length(struct reading *r, struct http_text value) {
        uint64_t n = 0;

        if (r->n_lengths++)
                return REFUSAL_LENGTH_TWICE;
        if (!value.size || !text_all(value, CHAR_DIGIT))
                return REFUSAL_LENGTH;
        for (uint32_t i = 0; i < value.size; i++) {
                if (n > (INT64_MAX - 9) / 10)
                        return REFUSAL_LENGTH;
                n = n * 10 + (uint64_t)(value.text[i] - '0');
        }
        r->head->has_length = true;
        r->head->length = n;
        return 0;
}

/* Only "chunked", once, is understood; all that could be read in two ways is refused. */
static int on_coding(struct reading *r, struct http_text value) {
        struct http_text item;
        bool other = false;

        while (list_next(&value, &item)) {
                if (r->head->chunked)
                        return text_is(item, "chunked") ? REFUSAL_CODING_TWICE : REFUSAL_CODING_NOT_LAST;
                if (text_is(item, "chunked"))
                        r->head->chunked = true;
                else
                        other = true;
        }
        if (!r->head->chunked)
                return REFUSAL_CODING_NOT_LAST;
        r->n_codings++;
        return other ? REFUSAL_CODING : 0;
}

static int on_connection(struct reading *r, struct http_text value) {
        struct http_text item;

        while (list_next(&value, &item)) {
                if (text_is(item, "close"))
                        r->close = true;
                else if (text_is(item, "keep-alive"))
                        r->keep_alive = true;
                else
                        r->names_fields = true;
        }
        return 0;
}

static int on_expect(struct reading *r, struct http_text value) {
        if (r->head->minor == 0)
                return 0; /* RFC 9110 10.1.1: ignored */
        if (!text_is(value, "100-continue"))
                return REFUSAL_EXPECTATION;
        r->head->expects_continue = true;
        return 0;
}

static int on_this_hop(struct reading *r, struct http_text value) {
        return 0;
}

#define KNOWN(text, fn, pass)                                                                                                              \
        { text, sizeof(text) - 1, fn, pass }
static const struct {
        const char *name;
        uint32_t size;
        int (*judge)(struct reading *r, struct http_text value);
        bool passed_on;
} known[] = {
        KNOWN("host", on_host, true),
        KNOWN("content-length", on_length, true),
        KNOWN("transfer-encoding", on_coding, false),
        KNOWN("connection", on_connection, false),
        KNOWN("expect", on_expect, false),
        KNOWN("keep-alive", on_this_hop, false),
        KNOWN("proxy-connection", on_this_hop, false),
        KNOWN("te", on_this_hop, false),
        KNOWN("trailer", on_this_hop, false),
        KNOWN("upgrade", on_this_hop, false),
        KNOWN("http2-settings", on_this_hop, false),
};

/* 0, a refusal, or -1: it is not passed on. */
static int judge_field(struct reading *r, struct http_field *f) {
        char *name = (char *)(uintptr_t)f->name.text;

        if (!f->name.size || !text_all(f->name, CHAR_TOKEN) || !text_all(f->value, CHAR_VALUE))
                return REFUSAL_FIELD;
        for (uint32_t i = 0; i < f->name.size; i++)
                name[i] = (char)char_lower((uint8_t)name[i]);
        if (!f->value.text)
                f->value.text = name;
        f->value = text_trim(f->value);
        for (size_t i = 0; i < N_ELEMENTS(known); i++) {
                int refusal;

                if (f->name.size != known[i].size || memcmp(name, known[i].name, known[i].size) != 0)
                        continue;
                refusal = known[i].judge(r, f->value);
                return refusal ? refusal : known[i].passed_on ? 0 : -1;
        }
        return 0;
}

static bool connection_names(const struct http_field *all, uint32_t n, struct http_text name) {
        for (uint32_t i = 0; i < n; i++) {
                struct http_text list = all[i].value, item;

                if (!text_is(all[i].name, "connection"))
                        continue;
                while (list_next(&list, &item)) {
                        if (item.size == name.size && !strncasecmp(item.text, name.text, name.size))
                                return true;
                }
        }
        return false;
}

/* RFC 9110 7.6.1: what Connection names is for this hop. Host and Content-Length are not for it to name,
 * nor what proxies before us have said: a client could have it dropped. */
static void drop_named(struct http_head *head, const struct http_field *all, uint32_t n) {
        uint32_t kept = 0;

        for (uint32_t i = 0; i < head->n_fields; i++) {
                const struct http_field *f = &head->fields[i];

                if (text_is(f->name, "host") || text_is(f->name, "content-length") || forwarded_is_field(f->name) ||
                    !connection_names(all, n, f->name))
                        head->fields[kept++] = *f;
        }
        head->n_fields = kept;
}

static int judge_fields(struct reading *r) {
        struct http_field all[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_head *head = r->head;
        uint32_t n = head->n_fields, kept = 0;

        for (uint32_t i = 0; i < n; i++) {
                int judged = judge_field(r, &head->fields[i]);

                if (judged > 0)
                        return judged;
                all[i] = head->fields[i];
                if (!judged)
                        head->fields[kept++] = all[i];
        }
        head->n_fields = kept;
        if (r->names_fields)
                drop_named(head, all, n);
        return 0;
}

static int judge_framing(const struct reading *r) {
        const struct http_head *head = r->head;

        if (r->n_codings && r->n_lengths)
                return REFUSAL_LENGTH_AND_CODING;
        if (r->n_codings && head->minor == 0)
                return REFUSAL_CODING_IN_1_0;
        if (head->minor == 1 && !r->n_hosts)
                return REFUSAL_HOST_MISSING;
        return 0;
}

/* The request line ------------------------------------------------------------------------------------------------------ */

/* RFC 9112 3: one SP each between the three elements, and CR LF right behind the version. llhttp takes more than that. */
static bool line_exact(const struct http_head *head, const uint8_t *data, size_t size) {
        const char *at = (const char *)data, *version = head->target.text + head->target.size;

        if (head->method.text != at || head->target.text != at + head->method.size + 1 || at[head->method.size] != ' ')
                return false;
        return (size_t)(at + size - version) > 11 && !memcmp(version, " HTTP/1.", 8) && !memcmp(version + 9, "\r\n", 2);
}

/* " HTTP/1.1" at the end of the line; the version as two digits, 0 when it has another form. */
static unsigned line_version(const char *line, size_t size) {
        const char *v = size < 9 ? NULL : line + size - 9;

        if (!v || memcmp(v, " HTTP/", 6) != 0 || !char_is((uint8_t)v[6], CHAR_DIGIT) || v[7] != '.' || !char_is((uint8_t)v[8], CHAR_DIGIT))
                return 0;
        return (unsigned)(v[6] - '0') * 10 + (unsigned)(v[8] - '0');
}

/* What is wrong with a request line that llhttp did not take. */
static int judge_line(const char *line, size_t size, llhttp_errno_t error) {
        const char *space = memchr(line, ' ', size);
        unsigned version = line_version(line, size);

        if (!space || space == line || !text_all((struct http_text){ line, (uint32_t)(space - line) }, CHAR_TOKEN) || !version)
                return REFUSAL_REQUEST_LINE;
        if (version != 10 && version != 11)
                return REFUSAL_VERSION;
        if (error == HPE_INVALID_METHOD)
                return REFUSAL_METHOD;
        return error == HPE_INVALID_URL ? REFUSAL_TARGET : REFUSAL_REQUEST_LINE;
}

static int judge_failure(const struct reading *r, const llhttp_t *parser, const uint8_t *data, size_t size) {
        const char *line = (const char *)data, *line_end = memchr(line, '\r', size), *at = llhttp_get_error_pos(parser);
        llhttp_errno_t error = llhttp_get_errno(parser);

        if (r->refusal)
                return r->refusal;
        if (!r->head->n_fields && (!at || at <= line_end + 1))
                return judge_line(line, (size_t)(line_end - line), error);
        switch (error) {
        case HPE_INVALID_CONTENT_LENGTH:
                return REFUSAL_LENGTH;
        case HPE_UNEXPECTED_CONTENT_LENGTH:
                return REFUSAL_LENGTH_TWICE;
        default:
                return REFUSAL_FIELD;
        }
}

/* RFC 9110 9.3.6 and 9.3.8: an origin server has no use for a tunnel, and TRACE gives away what a client was sent. */
static bool method_served(struct http_text method) {
        return !text_is(method, "connect") && !text_is(method, "trace");
}

static int judge(struct reading *r, const llhttp_t *parser, const uint8_t *data, size_t size) {
        struct http_head *head = r->head;
        int refusal;

        if (parser->http_major != 1 || parser->http_minor > 1)
                return REFUSAL_VERSION;
        if (!line_exact(head, data, size))
                return REFUSAL_REQUEST_LINE;
        if (!method_served(head->method))
                return REFUSAL_METHOD;
        head->minor = parser->http_minor;
        refusal = judge_fields(r);
        if (!refusal)
                refusal = judge_framing(r);
        head->keep_alive = !r->close && (head->minor == 1 || r->keep_alive);
        return refusal;
}

int http_head_parse(uint8_t *data, size_t size, struct http_head *ret_head) {
        struct reading r = { .head = ret_head };
        llhttp_t parser;

        ret_head->method = ret_head->target = ret_head->host = (struct http_text){ 0 };
        ret_head->n_fields = 0;
        ret_head->expects_continue = ret_head->chunked = ret_head->has_length = false;
        ret_head->length = 0;
        llhttp_init(&parser, HTTP_REQUEST, &settings);
        parser.data = &r;
        /* Judged here, so that all versions of llhttp give one answer. */
        llhttp_set_lenient_chunked_length(&parser, 1);
        llhttp_set_lenient_transfer_encoding(&parser, 1);
        llhttp_execute(&parser, (const char *)data, size);
        if (!r.complete)
                return judge_failure(&r, &parser, data, size);
        /* Both readings of where the head ends must agree. */
        if (llhttp_get_error_pos(&parser) != (const char *)data + size)
                return REFUSAL_FIELD;
        return judge(&r, &parser, data, size);
}
