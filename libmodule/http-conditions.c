/* SPDX-License-Identifier: Apache-2.0
 *
 * The order is that of RFC 9110 13.2.2:
 *
 *   1. If-Match             false: 412
 *   2. If-Unmodified-Since  without 1; false: 412
 *   3. If-None-Match        false: 304 for GET and HEAD, else 412
 *   4. If-Modified-Since    without 3, GET and HEAD; false: 304
 *   5. Range with If-Range  GET; false: the whole
 *
 * A date that is none, or is there twice, is as if it were not there, and so is a
 * range that is malformed. Of a malformed list of tags what stands before the
 * mistake counts.
 */
#include "libmodule/http-conditions.h"

#include <string.h>
#include <strings.h>

#include "ipc/cleanup.h"
#include "ipc/http-date.h"

struct check {
        const struct http_request_payload *request;
        const struct http_validators *validators;
        uint64_t now_s;
        bool get, head;
};

static bool text_is(struct http_text text, const char *other) {
        return text.size == strlen(other) && !memcmp(text.text, other, text.size);
}

/* Names are in lower case on the bus. */
static const struct http_field *field_next(const struct check *c, const char *name, const struct http_field *after) {
        const struct http_field *f = after ? after + 1 : c->request->fields, *end = c->request->fields + c->request->n_fields;

        for (; f < end; f++) {
                if (text_is(f->name, name))
                        return f;
        }
        return NULL;
}

/* Of a field that can be there once. */
static const struct http_field *field_single(const struct check *c, const char *name) {
        const struct http_field *f = field_next(c, name, NULL);

        return f && !field_next(c, name, f) ? f : NULL;
}

static bool date_of(const struct check *c, const char *name, uint64_t *ret) {
        const struct http_field *f = field_single(c, name);

        return f && http_date_parse(f->value.text, f->value.size, c->now_s, ret);
}

/* Tags ------------------------------------------------------------------------------------------------------------------- */

struct reader {
        const char *at, *end;
};

static void skip(struct reader *r, const char *chars) {
        while (r->at < r->end && *r->at && strchr(chars, *r->at))
                r->at++;
}

/* One entity-tag (8.8.3). False: there is none here. */
static bool take_tag(struct reader *r, bool *ret_weak, struct http_text *ret_tag) {
        bool weak = r->end - r->at > 2 && r->at[0] == 'W' && r->at[1] == '/';
        const char *begin = r->at + (weak ? 2 : 0), *stop;

        if (begin >= r->end || *begin != '"')
                return false;
        stop = memchr(begin + 1, '"', (size_t)(r->end - begin - 1));
        if (!stop)
                return false;
        r->at = stop + 1;
        *ret_weak = weak;
        *ret_tag = (struct http_text){ begin, (uint32_t)(stop + 1 - begin) };
        return true;
}

/* 8.8.3.2: strongly compared, both must be strong. */
static bool tag_matches(const struct http_validators *v, struct http_text tag, bool weak, bool strongly) {
        if (strongly && (weak || v->weak))
                return false;
        return tag.size == v->tag.size && !memcmp(tag.text, v->tag.text, tag.size);
}

static bool list_matches(const struct http_validators *v, struct http_text list, bool strongly) {
        struct reader r = { list.text, list.text + list.size };
        struct http_text tag;
        bool weak;

        for (;;) {
                skip(&r, ", \t");
                if (!take_tag(&r, &weak, &tag))
                        return false;
                if (tag_matches(v, tag, weak, strongly))
                        return true;
                skip(&r, " \t");
                if (r.at < r.end && *r.at != ',')
                        return false;
        }
}

/* "*" is whatever there is, and there is something. */
static bool any_matches(const struct check *c, const char *name, bool strongly) {
        for (const struct http_field *f = field_next(c, name, NULL); f; f = field_next(c, name, f)) {
                if (text_is(f->value, "*") || list_matches(c->validators, f->value, strongly))
                        return true;
        }
        return false;
}

/* Ranges ------------------------------------------------------------------------------------------------------------------ */

enum range { RANGE_NONE, RANGE_ONE, RANGE_UNSATISFIABLE };

/* Larger than any size is as good as any other. */
static bool take_number(struct reader *r, uint64_t *ret) {
        const char *begin = r->at;
        uint64_t n = 0;

        for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
                n = n > INT64_MAX / 10 - 1 ? INT64_MAX : n * 10 + (uint64_t)(*r->at - '0');
        *ret = n;
        return r->at > begin;
}

/* int-range or suffix-range (14.1.1): what of `size` bytes is meant. */
static enum range range_of(struct reader *r, uint64_t size, struct http_range *ret) {
        uint64_t first, last;
        bool has_first = take_number(r, &first), has_last;

        if (r->at == r->end || *r->at++ != '-')
                return RANGE_NONE;
        has_last = take_number(r, &last);
        if ((!has_first && !has_last) || (has_first && has_last && first > last))
                return RANGE_NONE;
        if (!has_first) {
                if (!last)
                        return RANGE_UNSATISFIABLE;
                *ret = (struct http_range){ size - MIN(last, size), MIN(last, size) };
                return size ? RANGE_ONE : RANGE_NONE; /* satisfiable, and no Content-Range can say so */
        }
        if (first >= size)
                return RANGE_UNSATISFIABLE;
        *ret = (struct http_range){ first, has_last ? MIN(last, size - 1) - first + 1 : size - first };
        return RANGE_ONE;
}

static enum range range_parse(struct http_text value, uint64_t size, struct http_range *ret) {
        struct reader r = { value.text, value.text + value.size };
        enum range range;

        if (value.size < 6 || strncasecmp(value.text, "bytes=", 6) != 0)
                return RANGE_NONE;
        r.at += 6;
        skip(&r, ", \t");
        range = range_of(&r, size, ret);
        skip(&r, ", \t");
        return r.at == r.end ? range : RANGE_NONE;
}

/* 13.1.5: a date that is the file's, and old enough that it has not changed twice within it. */
static bool if_range_holds(const struct check *c) {
        const struct http_field *f = field_next(c, "if-range", NULL);
        const struct http_validators *v = c->validators;
        struct reader r;
        struct http_text tag;
        uint64_t date;
        bool weak;

        if (!f)
                return true;
        f = field_single(c, "if-range");
        if (!f)
                return false;
        r = (struct reader){ f->value.text, f->value.text + f->value.size };
        if (take_tag(&r, &weak, &tag))
                return r.at == r.end && tag_matches(v, tag, weak, true);
        return !v->weak && http_date_parse(f->value.text, f->value.size, c->now_s, &date) && date == v->modified_s;
}

static int check_range(const struct check *c, struct http_range *ret_range) {
        const struct http_field *f = c->get ? field_single(c, "range") : NULL;
        struct http_range range;

        if (!f || !if_range_holds(c))
                return 200;
        switch (range_parse(f->value, c->validators->size, &range)) {
        case RANGE_ONE:
                *ret_range = range;
                return 206;
        case RANGE_UNSATISFIABLE:
                return 416;
        case RANGE_NONE:
                break;
        }
        return 200;
}

/* The order ---------------------------------------------------------------------------------------------------------------- */

static bool is_precondition_met(const struct check *c) {
        uint64_t date;

        if (field_next(c, "if-match", NULL))
                return any_matches(c, "if-match", true);
        return !date_of(c, "if-unmodified-since", &date) || c->validators->modified_s <= date;
}

static bool is_changed(const struct check *c) {
        uint64_t date;

        if (field_next(c, "if-none-match", NULL))
                return !any_matches(c, "if-none-match", false);
        return !(c->get || c->head) || !date_of(c, "if-modified-since", &date) || c->validators->modified_s > date;
}

int http_conditions_check(const struct http_request_payload *request, const struct http_validators *validators, uint64_t now_s,
                          struct http_range *ret_range) {
        const struct check c = { request, validators, now_s, text_is(request->method, "GET"), text_is(request->method, "HEAD") };

        *ret_range = (struct http_range){ 0, validators->size };
        if (!is_precondition_met(&c))
                return 412;
        if (!is_changed(&c))
                return c.get || c.head ? 304 : 412;
        return check_range(&c, ret_range);
}
