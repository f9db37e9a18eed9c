/* SPDX-License-Identifier: Apache-2.0
 *
 * socle_pack() and socle_unpack(): msgpack by format strings.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MSGPACK_SBUFFER_INIT_SIZE 256 /* most messages are small, and malloc() is slow with what is large */
#include <msgpack.h>

#include <socle/module.h>

#include "ipc/cleanup.h"
#include "ipc/value.h"
#include "libmodule/arena.h"
#include "libmodule/worker-internal.h"

#define DEPTH_MAX VALUE_DEPTH_MAX

struct socle_buffer {
        msgpack_sbuffer bytes;
        uint32_t n_values;
};

static_assert(sizeof(struct value) == sizeof(struct socle_value), "the SDK's value is a cursor");

struct socle_buffer *socle_buffer_new(void) {
        return calloc(1, sizeof(struct socle_buffer)); /* as msgpack_sbuffer_init() leaves it */
}

struct socle_buffer *socle_buffer_free(struct socle_buffer *b) {
        if (b) {
                msgpack_sbuffer_destroy(&b->bytes);
                free(b);
        }
        return NULL;
}

const void *buffer_data(const struct socle_buffer *b, uint32_t *ret_size) {
        *ret_size = b ? (uint32_t)MIN(b->bytes.size, (size_t)UINT32_MAX) : 0;
        return b && b->bytes.size ? b->bytes.data : NULL;
}

uint8_t *buffer_take(struct socle_buffer *b, uint32_t *ret_size) {
        *ret_size = (uint32_t)MIN(b->bytes.size, (size_t)UINT32_MAX);
        b->n_values = 0;
        return (uint8_t *)msgpack_sbuffer_release(&b->bytes);
}

/* Formats ------------------------------------------------------------------------------------------------------------ */

static const char *skip(const char *f) {
        while (*f == ' ' || *f == ',' || *f == ':' || *f == '\t' || *f == '\n')
                f++;
        return f;
}

/* Behind one item of a format; NULL when it is none. `depth` containers are around it. */
static const char *item_end(const char *f, unsigned depth) {
        char close;

        f = skip(f);
        if (*f == '\0')
                return NULL;
        if (*f != '{' && *f != '[') {
                if (*f == 'y')
                        return f[1] == '#' ? f + 2 : NULL;
                return strchr("siIfbnv@", *f) ? f + 1 : NULL;
        }
        if (depth >= DEPTH_MAX)
                return NULL;
        close = *f == '{' ? '}' : ']';
        for (f = skip(f + 1); *f != close; f = skip(f)) {
                f = item_end(f, depth + 1);
                if (!f)
                        return NULL;
        }
        return f + 1;
}

/* Items up to the closing bracket. */
static uint32_t count_items(const char *f, char close) {
        uint32_t n = 0;

        for (f = skip(f); *f != close; f = skip(f), n++)
                f = item_end(f, 0);
        return n;
}

/* A map has strings for keys and a value for each, or pairs from a buffer. */
static bool maps_ok(const char *f) {
        for (; *f; f++) {
                const char *p;
                uint32_t n = 0;

                if (*f != '{')
                        continue;
                for (p = skip(f + 1); *p != '}'; p = skip(p), n++) {
                        if (n % 2 == 0 && *p == '@')
                                n++;
                        else if (n % 2 == 0 && *p != 's')
                                return false;
                        p = item_end(p, 0);
                }
                if (n % 2)
                        return false;
        }
        return true;
}

static bool format_ok(const char *f) {
        const char *end = item_end(f, 0);

        return end && *skip(end) == '\0' && maps_ok(f);
}

/* Packing ------------------------------------------------------------------------------------------------------------ */

/* va_list by reference, so that arguments are consumed across the recursion. */
struct arguments {
        va_list list;
};

/* Where packed bytes go, and whether memory was out: the packer's functions are not asked one by one. */
struct sink {
        msgpack_sbuffer *bytes;
        bool failed;
};

static int sink_write(void *data, const char *bytes, size_t size) {
        struct sink *sink = data;

        sink->failed |= msgpack_sbuffer_write(sink->bytes, bytes, size) != 0;
        return sink->failed ? -1 : 0;
}

static const char *pack_item(msgpack_packer *p, const char *f, struct arguments *a, uint32_t *n);

/* How many values a container has is known when they are there: its head is written behind them and moved to its place. */
static void pack_head(msgpack_packer *p, char open, size_t at, uint32_t n) {
        struct sink *sink = p->data;
        size_t end = sink->bytes->size, size;
        char head[8];

        if (open == '{')
                msgpack_pack_map(p, n / 2);
        else
                msgpack_pack_array(p, n);
        if (sink->failed)
                return;
        size = sink->bytes->size - end;
        memcpy(head, sink->bytes->data + end, size);
        memmove(sink->bytes->data + at + size, sink->bytes->data + at, end - at);
        memcpy(sink->bytes->data + at, head, size);
}

static const char *pack_container(msgpack_packer *p, const char *f, struct arguments *a) {
        char open = *f, close = open == '{' ? '}' : ']';
        size_t at = ((struct sink *)p->data)->bytes->size;
        uint32_t n = 0;

        for (f = skip(f + 1); *f != close; f = skip(f)) {
                bool spliced = open == '{' && *f == '@';
                uint32_t before = n;

                f = pack_item(p, f, a, &n);
                /* whole pairs in the place of a key, one value in the place of a value */
                if (!f || (spliced && (before % 2 ? n - before != 1 : n % 2)))
                        return NULL;
        }
        pack_head(p, open, at, n);
        return f + 1;
}

static bool pack_string(msgpack_packer *p, const char *text) {
        size_t size = text ? strlen(text) : SIZE_MAX;

        if (size > UINT32_MAX)
                return false;
        msgpack_pack_str_with_body(p, text, size);
        return true;
}

static bool pack_bytes(msgpack_packer *p, const void *data, size_t size) {
        if (size > UINT32_MAX)
                return false;
        msgpack_pack_bin_with_body(p, data ? data : "", data ? size : 0);
        return true;
}

static bool pack_value(msgpack_packer *p, const struct socle_value *value) {
        struct value v, next;

        if (!value)
                return false;
        memcpy(&v, value, sizeof(v));
        next = v;
        value_next(&next);
        if (next.at == v.at)
                msgpack_pack_nil(p); /* zeroed */
        else
                sink_write(p->data, (const char *)v.at, (size_t)(next.at - v.at));
        return true;
}

static bool pack_buffer(msgpack_packer *p, const struct socle_buffer *b, uint32_t *n) {
        if (!b || &b->bytes == ((struct sink *)p->data)->bytes)
                return false;
        if (b->bytes.size)
                sink_write(p->data, b->bytes.data, b->bytes.size);
        *n += b->n_values;
        return true;
}

/* Behind the item, *n greater by the values that it stands for; NULL for an argument that cannot be. */
static const char *pack_item(msgpack_packer *p, const char *f, struct arguments *a, uint32_t *n) {
        const void *data;

        f = skip(f);
        *n += *f != '@';
        switch (*f) {
        case 's':
                return pack_string(p, va_arg(a->list, const char *)) ? f + 1 : NULL;
        case 'i':
                msgpack_pack_int(p, va_arg(a->list, int));
                return f + 1;
        case 'I':
                msgpack_pack_long_long(p, va_arg(a->list, long long));
                return f + 1;
        case 'f':
                msgpack_pack_double(p, va_arg(a->list, double));
                return f + 1;
        case 'b':
                va_arg(a->list, int) ? msgpack_pack_true(p) : msgpack_pack_false(p);
                return f + 1;
        case 'n':
                msgpack_pack_nil(p);
                return f + 1;
        case 'y':
                data = va_arg(a->list, const void *);
                return pack_bytes(p, data, va_arg(a->list, size_t)) ? f + 2 : NULL;
        case 'v':
                return pack_value(p, va_arg(a->list, const struct socle_value *)) ? f + 1 : NULL;
        case '@':
                return pack_buffer(p, va_arg(a->list, const struct socle_buffer *), n) ? f + 1 : NULL;
        default:
                return pack_container(p, f, a);
        }
}

/* What came out of values and buffers may be nested deeper than a receiver takes. */
static bool packed_ok(const msgpack_sbuffer *bytes, size_t from, const char *format) {
        struct value v;

        return !strpbrk(format, "v@") || value_check(bytes->data + from, bytes->size - from, &v, NULL) == 0;
}

int socle_pack(struct socle_buffer *b, const char *format, ...) {
        struct sink sink = { .bytes = &b->bytes };
        size_t before = b->bytes.size;
        struct arguments a;
        msgpack_packer p;
        const char *end;
        uint32_t n = 0;

        if (!format_ok(format))
                return -EINVAL;
        msgpack_packer_init(&p, &sink, sink_write);
        va_start(a.list, format);
        end = pack_item(&p, format, &a, &n);
        va_end(a.list);
        if (end && !sink.failed && n == 1 && packed_ok(&b->bytes, before, format)) {
                b->n_values++;
                return 0;
        }
        b->bytes.size = before;
        return end && sink.failed ? -ENOMEM : -EINVAL;
}

/* Unpacking: first everything is looked at, then everything is written. ----------------------------------------------- */

static const char *unpack_item(struct value *v, const char *f, struct arguments *a, bool write, int *error);

static void set_error(int *error, int r) {
        if (!*error && r < 0)
                *error = r;
}

static const char *unpack_map(struct value *v, const char *f, struct arguments *a, bool write, int *error) {
        struct value first;
        uint32_t n;

        set_error(error, value_get_map(v, &n, &first));
        for (f = skip(f + 1); *f != '}'; f = skip(f)) {
                const char *key = va_arg(a->list, const char *);
                struct value member = { 0 };

                if (!*error && value_map_get(v, key, &member) < 0)
                        *error = -ENOENT;
                f = unpack_item(&member, skip(f + 1), a, write, error);
        }
        return f + 1;
}

static const char *unpack_array(struct value *v, const char *f, struct arguments *a, bool write, int *error) {
        struct value at = { 0 };
        uint32_t n = 0;

        if (!*error && (value_get_array(v, &n, &at) < 0 || n != count_items(f + 1, ']')))
                *error = -EINVAL;
        for (f = skip(f + 1); *f != ']'; f = skip(f)) {
                f = unpack_item(&at, f, a, write, error);
                if (!*error)
                        value_next(&at);
        }
        return f + 1;
}

/* A string that ends where its terminated copy does. */
static int text_of(const struct value *v, const char **ret_text, size_t *ret_size) {
        int r = value_get_str(v, ret_text, ret_size);

        return r < 0 || !memchr(*ret_text, '\0', *ret_size) ? r : -EINVAL;
}

static void unpack_string(struct value *v, struct arguments *a, bool write, int *error) {
        const char **to = va_arg(a->list, const char **), *text;
        size_t size;

        set_error(error, text_of(v, &text, &size));
        if (*error || !write)
                return;
        text = arena_text(worker_arena(), text, size);
        if (text)
                *to = text;
        else
                *error = -ENOMEM;
}

static void unpack_int(struct value *v, struct arguments *a, bool wide, bool write, int *error) {
        void *to = wide ? (void *)va_arg(a->list, long long *) : (void *)va_arg(a->list, int *);
        int64_t n = 0;

        set_error(error, value_get_int(v, &n));
        if (!*error && !wide && (n < INT32_MIN || n > INT32_MAX))
                *error = -EINVAL;
        if (*error || !write)
                return;
        if (wide)
                *(long long *)to = n;
        else
                *(int *)to = (int)n;
}

static void unpack_scalar(struct value *v, char type, struct arguments *a, bool write, int *error) {
        double d = 0;
        bool b = false;

        if (type == 'f') {
                double *to = va_arg(a->list, double *);

                set_error(error, value_get_double(v, &d));
                if (!*error && write)
                        *to = d;
        } else if (type == 'b') {
                int *to = va_arg(a->list, int *);

                set_error(error, value_get_bool(v, &b));
                if (!*error && write)
                        *to = b;
        } else if (!*error && value_type(v) != VALUE_NIL) {
                *error = -EINVAL;
        }
}

static const char *unpack_item(struct value *v, const char *f, struct arguments *a, bool write, int *error) {
        const void **data, *bytes = NULL;
        size_t *to_size, size = 0;
        struct socle_value *value;

        f = skip(f);
        switch (*f) {
        case '{':
                return unpack_map(v, f, a, write, error);
        case '[':
                return unpack_array(v, f, a, write, error);
        case 's':
                unpack_string(v, a, write, error);
                return f + 1;
        case 'i':
        case 'I':
                unpack_int(v, a, *f == 'I', write, error);
                return f + 1;
        case 'v':
                value = va_arg(a->list, struct socle_value *);
                if (!*error && write)
                        memcpy(value, v, sizeof(*value));
                return f + 1;
        case 'y':
                data = va_arg(a->list, const void **);
                to_size = va_arg(a->list, size_t *);
                set_error(error, value_get_bin(v, &bytes, &size));
                if (!*error && write) {
                        *data = bytes;
                        *to_size = size;
                }
                return f + 2;
        default:
                unpack_scalar(v, *f, a, write, error);
                return f + 1;
        }
}

int socle_unpack(const struct socle_value *v, const char *format, ...) {
        struct arguments a;
        int error = 0;

        if (!format_ok(format) || strchr(format, '@'))
                return -EINVAL;
        for (int pass = 0; pass < 2 && !error; pass++) {
                struct value copy;

                memcpy(&copy, v, sizeof(copy));
                va_start(a.list, format);
                unpack_item(&copy, format, &a, pass == 1, &error);
                va_end(a.list);
        }
        return error;
}

/* Values without a format --------------------------------------------------------------------------------------------- */

const char *socle_value_text(const struct socle_value *v) {
        const char *text;
        size_t size;

        if (text_of((const struct value *)v, &text, &size) < 0)
                return NULL;
        return arena_text(worker_arena(), text, size);
}

int socle_value_items(const struct socle_value *v, size_t *ret_n, struct socle_value *ret_first) {
        struct value first;
        uint32_t n;

        if (value_get_array((const struct value *)v, &n, &first) < 0 && value_get_map((const struct value *)v, &n, &first) < 0)
                return -EINVAL;
        memcpy(ret_first, &first, sizeof(first));
        *ret_n = n;
        return 0;
}

void socle_value_next(struct socle_value *v) {
        struct value next;

        memcpy(&next, v, sizeof(next));
        value_next(&next);
        memcpy(v, &next, sizeof(next));
}
