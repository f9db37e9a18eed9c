/* SPDX-License-Identifier: Apache-2.0
 *
 * The two that must come to the same.
 */
#include "tests/unit/msgpack/dump.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"

#define BYTES_SHOWN 40
#define ITEMS_SHOWN 8

static void hash_bytes(struct dump *d, const void *data, size_t size) {
        const uint8_t *at = data;

        for (size_t i = 0; i < size; i++)
                d->hash = (d->hash ^ at[i]) * UINT64_C(0x100000001b3) + 1;
}

static __attribute__((format(printf, 2, 3))) void say(struct dump *d, const char *format, ...) {
        char text[128];
        va_list args;
        size_t n;

        va_start(args, format);
        n = (size_t)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        hash_bytes(d, text, n);
        if (d->quiet || d->size + n >= sizeof(d->text))
                return;
        memcpy(d->text + d->size, text, n + 1);
        d->size += n;
}

static void say_bytes(struct dump *d, const char *kind, const void *data, size_t size) {
        const uint8_t *at = data;

        if (size > BYTES_SHOWN) {
                say(d, "%s#%zu", kind, size);
        } else {
                say(d, "%s\"", kind);
                for (size_t i = 0; i < size; i++)
                        say(d, at[i] >= ' ' && at[i] < 0x7f ? "%c" : "\\x%02x", at[i]);
                say(d, "\"");
        }
        hash_bytes(d, data, size);
}

/* Every bit of it counts, but for those of what is no number: nobody promises to keep them. */
static void say_float(struct dump *d, double f) {
        if (isnan(f))
                say(d, "f:nan");
        else
                say(d, "f:%.17g", f);
}

static void say_ext(struct dump *d, int8_t type, const void *data, size_t size) {
        char kind[8];

        snprintf(kind, sizeof(kind), "x%d", type);
        say_bytes(d, kind, data, size);
}

static void open_container(struct dump *d, char open, uint32_t n) {
        d->inside++;
        d->depth = MAX(d->depth, d->inside);
        say(d, n > ITEMS_SHOWN ? "%c#%" PRIu32 : "%c", open, n);
        d->quiet += n > ITEMS_SHOWN;
}

static void close_container(struct dump *d, char close, uint32_t n) {
        d->inside--;
        d->quiet -= n > ITEMS_SHOWN;
        say(d, "%c", close);
}

/* The cursor --------------------------------------------------------------------------------------------------------- */

static void dump_ext(struct dump *d, const struct value *v) {
        struct value next = *v;
        size_t head = *v->at >= 0xd4 ? 2 : *v->at == 0xc7 ? 3 : *v->at == 0xc8 ? 4 : 6;

        value_next(&next);
        say_ext(d, (int8_t)v->at[head - 1], v->at + head, (size_t)(next.at - v->at) - head);
}

static void dump_items(struct dump *d, const struct value *v, bool map) {
        struct value item = { 0 };
        uint32_t n = 0;

        if (map)
                value_get_map(v, &n, &item);
        else
                value_get_array(v, &n, &item);
        open_container(d, map ? '{' : '[', n);
        for (uint32_t i = 0; i < n; i++, value_next(&item)) {
                say(d, "%s", i ? "," : "");
                dump_value(d, &item);
                if (!map)
                        continue;
                value_next(&item);
                say(d, ":");
                dump_value(d, &item);
        }
        close_container(d, map ? '}' : ']', n);
}

void dump_value(struct dump *d, const struct value *v) {
        const void *data = NULL;
        const char *text = NULL;
        uint64_t u = 0;
        size_t n = 0;
        int64_t i = 0;
        double f = 0;
        bool b = false;

        switch (value_type(v)) {
        case VALUE_NIL:
                say(d, "nil");
                break;
        case VALUE_BOOL:
                value_get_bool(v, &b);
                say(d, b ? "true" : "false");
                break;
        case VALUE_INT:
                value_get_int(v, &i);
                say(d, "%" PRId64, i);
                break;
        case VALUE_UINT:
                value_get_uint(v, &u);
                say(d, "%" PRIu64, u);
                break;
        case VALUE_FLOAT:
                value_get_double(v, &f);
                say_float(d, f);
                break;
        case VALUE_STR:
                value_get_str(v, &text, &n);
                say_bytes(d, "s", text, n);
                break;
        case VALUE_BIN:
                value_get_bin(v, &data, &n);
                say_bytes(d, "b", data, n);
                break;
        case VALUE_EXT:
                dump_ext(d, v);
                break;
        case VALUE_ARRAY:
        case VALUE_MAP:
                dump_items(d, v, value_type(v) == VALUE_MAP);
                break;
        }
}

/* msgpack-c ---------------------------------------------------------------------------------------------------------- */

static void dump_array(struct dump *d, const msgpack_object_array *array) {
        open_container(d, '[', array->size);
        for (uint32_t i = 0; i < array->size; i++) {
                say(d, "%s", i ? "," : "");
                dump_object(d, &array->ptr[i]);
        }
        close_container(d, ']', array->size);
}

static void dump_map(struct dump *d, const msgpack_object_map *map) {
        open_container(d, '{', map->size);
        for (uint32_t i = 0; i < map->size; i++) {
                say(d, "%s", i ? "," : "");
                dump_object(d, &map->ptr[i].key);
                say(d, ":");
                dump_object(d, &map->ptr[i].val);
        }
        close_container(d, '}', map->size);
}

void dump_object(struct dump *d, const msgpack_object *o) {
        switch (o->type) {
        case MSGPACK_OBJECT_NIL:
                say(d, "nil");
                break;
        case MSGPACK_OBJECT_BOOLEAN:
                say(d, o->via.boolean ? "true" : "false");
                break;
        case MSGPACK_OBJECT_POSITIVE_INTEGER:
                say(d, "%" PRIu64, o->via.u64);
                break;
        case MSGPACK_OBJECT_NEGATIVE_INTEGER:
                say(d, "%" PRId64, o->via.i64);
                break;
        case MSGPACK_OBJECT_FLOAT32:
        case MSGPACK_OBJECT_FLOAT64:
                say_float(d, o->via.f64);
                break;
        case MSGPACK_OBJECT_STR:
                say_bytes(d, "s", o->via.str.ptr, o->via.str.size);
                break;
        case MSGPACK_OBJECT_BIN:
                say_bytes(d, "b", o->via.bin.ptr, o->via.bin.size);
                break;
        case MSGPACK_OBJECT_EXT:
                say_ext(d, o->via.ext.type, o->via.ext.ptr, o->via.ext.size);
                break;
        case MSGPACK_OBJECT_ARRAY:
                dump_array(d, &o->via.array);
                break;
        case MSGPACK_OBJECT_MAP:
                dump_map(d, &o->via.map);
                break;
        }
}

bool dump_equal(const struct dump *a, const struct dump *b) {
        return a->hash == b->hash && !strcmp(a->text, b->text);
}
