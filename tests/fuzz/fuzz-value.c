/* SPDX-License-Identifier: Apache-2.0
 *
 * Msgpack: what value_check() takes can be read by every function, in any
 * order, within its bytes; and it takes only what msgpack-c takes too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "ipc/cleanup.h"
#include "ipc/value.h"

#define CHECK(condition)                                                                                                                   \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                                 \
                        abort();                                                                                                           \
                }                                                                                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_bytes(const struct value *v) {
        const char *text;
        const void *data;
        size_t n;

        if (value_get_str(v, &text, &n) == 0)
                CHECK((const uint8_t *)text >= v->at && (const uint8_t *)text + n <= v->end);
        if (value_get_bin(v, &data, &n) == 0)
                CHECK((const uint8_t *)data >= v->at && (const uint8_t *)data + n <= v->end);
}

static void read_number(const struct value *v, const msgpack_object *o) {
        uint64_t u;
        int64_t i;
        double d;
        bool b;

        if (value_get_int(v, &i) == 0)
                CHECK(o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? i == o->via.i64 : (uint64_t)i == o->via.u64);
        if (value_get_uint(v, &u) == 0)
                CHECK(o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && u == o->via.u64);
        if (value_get_bool(v, &b) == 0)
                CHECK(o->type == MSGPACK_OBJECT_BOOLEAN && b == o->via.boolean);
        if (value_type(v) == VALUE_FLOAT) {
                CHECK(value_get_double(v, &d) == 0);
                CHECK((o->type == MSGPACK_OBJECT_FLOAT64 || o->type == MSGPACK_OBJECT_FLOAT32) && !memcmp(&d, &o->via.f64, sizeof(d)));
        }
}

/* Side by side with the library's tree. */
static void walk(struct value *v, const msgpack_object *o) {
        struct value at, found;
        uint32_t n;

        CHECK(v->at < v->end);
        CHECK(value_type_name(value_type(v)));
        read_bytes(v);
        read_number(v, o);
        if (value_get_array(v, &n, &at) == 0) {
                CHECK(o->type == MSGPACK_OBJECT_ARRAY && n == o->via.array.size);
                for (uint32_t i = 0; i < n; i++)
                        walk(&at, &o->via.array.ptr[i]);
        } else if (value_get_map(v, &n, &at) == 0) {
                CHECK(o->type == MSGPACK_OBJECT_MAP && n == o->via.map.size);
                value_map_get(v, "key", &found);
                for (uint32_t i = 0; i < n; i++) {
                        walk(&at, &o->via.map.ptr[i].key);
                        walk(&at, &o->via.map.ptr[i].val);
                }
        } else {
                at = *v;
                value_next(&at);
        }
        /* over it at once, or through it: the same place */
        value_next(v);
        CHECK(v->at == at.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ uint8_t *copy = malloc(size ? size : 1); /* exact, for the sanitizer */
        struct value v;
        size_t offset = size, used = 0;
        msgpack_zone zone;
        msgpack_object o;

        if (size)
                memcpy(copy, data, size);
        if (value_check(copy, size, &v, &offset) < 0) {
                CHECK(offset <= size);
                return 0;
        }
        CHECK(msgpack_zone_init(&zone, 4096));
        CHECK(msgpack_unpack((const char *)copy, size, &used, &zone, &o) == MSGPACK_UNPACK_SUCCESS && used == size);
        walk(&v, &o);
        CHECK(v.at == v.end);
        msgpack_zone_destroy(&zone);
        return 0;
}
