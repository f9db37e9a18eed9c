/* SPDX-License-Identifier: Apache-2.0
 *
 * socle_pack() and socle_unpack(): msgpack by format strings.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include <socle/module.h>

#include "ipc/cleanup.h"
#include "ipc/value.h"
#include "libmodule/arena.h"
#include "libmodule/worker-internal.h"

#define DEPTH_MAX VALUE_DEPTH_MAX

struct socle_buffer {
        msgpack_sbuffer bytes;
};

static_assert(sizeof(struct value) == sizeof(struct socle_value), "the SDK's value is a cursor");

struct socle_buffer *socle_buffer_new(void) {
        struct socle_buffer *b = malloc(sizeof(*b));

        if (b)
                msgpack_sbuffer_init(&b->bytes);
        return b;
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
        return (uint8_t *)msgpack_sbuffer_release(&b->bytes);
}

/* Formats ------------------------------------------------------------------------------------------------------------ */

static const char *skip(const char *f) {
        while (*f == ' ' || *f == ',' || *f == ':' || *f == '\t' || *f == '\n')
                f++;
        return f;
}

/* Behind one item of a format; NULL when it is none. */
static const char *item_end(const char *f, unsigned depth) {
        char close;

        f = skip(f);
        if (*f == '\0' || depth > DEPTH_MAX)
                return NULL;
        if (*f != '{' && *f != '[') {
                if (*f == 'y')
                        return f[1] == '#' ? f + 2 : NULL;
                return strchr("siIfbn", *f) ? f + 1 : NULL;
        }
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

/* A map has strings for keys and a value for each. */
static bool maps_ok(const char *f) {
        for (; *f; f++) {
                const char *p;
                uint32_t n = 0;

                if (*f != '{')
                        continue;
                for (p = skip(f + 1); *p != '}'; p = skip(p), n++) {
                        if (n % 2 == 0 && *p != 's')
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

static const char *pack_item(msgpack_packer *p, const char *f, struct arguments *a) {
        const char *text;
        const void *data;
        char close;
        size_t size;

        f = skip(f);
        switch (*f) {
        case 's':
                text = va_arg(a->list, const char *);
                size = text ? strlen(text) : SIZE_MAX;
                if (size > UINT32_MAX)
                        return NULL;
                msgpack_pack_str_with_body(p, text, size);
                return f + 1;
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
                size = va_arg(a->list, size_t);
                if (size > UINT32_MAX)
                        return NULL;
                msgpack_pack_bin_with_body(p, data ? data : "", data ? size : 0);
                return f + 2;
        default:
                break;
        }
        close = *f == '{' ? '}' : ']';
        if (*f == '{')
                msgpack_pack_map(p, count_items(f + 1, close) / 2);
        else
                msgpack_pack_array(p, count_items(f + 1, close));
        for (f = skip(f + 1); f && *f != close; f = f ? skip(f) : NULL)
                f = pack_item(p, f, a);
        return f ? f + 1 : NULL;
}

int socle_pack(struct socle_buffer *b, const char *format, ...) {
        struct sink sink = { .bytes = &b->bytes };
        size_t before = b->bytes.size;
        struct arguments a;
        msgpack_packer p;
        const char *end;

        if (!format_ok(format))
                return -EINVAL;
        msgpack_packer_init(&p, &sink, sink_write);
        va_start(a.list, format);
        end = pack_item(&p, format, &a);
        va_end(a.list);
        if (end && !sink.failed)
                return 0;
        b->bytes.size = before;
        return end ? -ENOMEM : -EINVAL;
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

static void unpack_string(struct value *v, struct arguments *a, bool write, int *error) {
        const char **to = va_arg(a->list, const char **), *text;
        size_t size;

        set_error(error, value_get_str(v, &text, &size));
        if (*error || !write)
                return;
        text = socle_value_text((const struct socle_value *)v);
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

        if (!format_ok(format))
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

const char *socle_value_text(const struct socle_value *v) {
        const char *text;
        size_t size;

        if (value_get_str((const struct value *)v, &text, &size) < 0)
                return NULL;
        return arena_text(worker_arena(), text, size);
}
