/* SPDX-License-Identifier: Apache-2.0
 *
 * The msgpack cursor against the format's own words
 * (https://github.com/msgpack/msgpack/blob/master/spec.md).
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/value.h"

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* An exact copy on the heap, so that one byte too far is seen by the sanitizer. */
static uint8_t *heap_copy(const uint8_t *bytes, size_t size) {
        uint8_t *copy = malloc(size ? size : 1);

        assert_non_null(copy);
        if (size)
                memcpy(copy, bytes, size);
        return copy;
}

struct number {
        const uint8_t *bytes;
        size_t size;
        enum value_type type;
        int64_t i;
        uint64_t u;
};

static const struct number numbers[] = {
        /* positive and negative fixint */
        { BYTES(0x00), VALUE_INT, 0, 0 },
        { BYTES(0x7f), VALUE_INT, 127, 127 },
        { BYTES(0xff), VALUE_INT, -1, 0 },
        { BYTES(0xe0), VALUE_INT, -32, 0 },
        /* uint 8, 16, 32, 64 */
        { BYTES(0xcc, 0x00), VALUE_INT, 0, 0 },
        { BYTES(0xcc, 0x80), VALUE_INT, 128, 128 },
        { BYTES(0xcc, 0xff), VALUE_INT, 255, 255 },
        { BYTES(0xcd, 0x01, 0x00), VALUE_INT, 256, 256 },
        { BYTES(0xcd, 0xff, 0xff), VALUE_INT, 65535, 65535 },
        { BYTES(0xce, 0x00, 0x01, 0x00, 0x00), VALUE_INT, 65536, 65536 },
        { BYTES(0xce, 0xff, 0xff, 0xff, 0xff), VALUE_INT, UINT32_MAX, UINT32_MAX },
        { BYTES(0xcf, 0, 0, 0, 1, 0, 0, 0, 0), VALUE_INT, 1ll << 32, 1ull << 32 },
        { BYTES(0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), VALUE_INT, INT64_MAX, INT64_MAX },
        { BYTES(0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0), VALUE_UINT, 0, 1ull << 63 },
        { BYTES(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), VALUE_UINT, 0, UINT64_MAX },
        /* int 8, 16, 32, 64 */
        { BYTES(0xd0, 0x80), VALUE_INT, -128, 0 },
        { BYTES(0xd0, 0x7f), VALUE_INT, 127, 127 },
        { BYTES(0xd0, 0xdf), VALUE_INT, -33, 0 },
        { BYTES(0xd1, 0x80, 0x00), VALUE_INT, -32768, 0 },
        { BYTES(0xd1, 0x7f, 0xff), VALUE_INT, 32767, 32767 },
        { BYTES(0xd2, 0x80, 0, 0, 0), VALUE_INT, INT32_MIN, 0 },
        { BYTES(0xd2, 0x7f, 0xff, 0xff, 0xff), VALUE_INT, INT32_MAX, INT32_MAX },
        { BYTES(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0), VALUE_INT, INT64_MIN, 0 },
        { BYTES(0xd3, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), VALUE_INT, INT64_MAX, INT64_MAX },
        { BYTES(0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), VALUE_INT, -1, 0 },
};

static void test_integers(void **state) {
        for (size_t n = 0; n < N_ELEMENTS(numbers); n++) {
                const struct number *c = &numbers[n];
                _cleanup_free_ uint8_t *bytes = heap_copy(c->bytes, c->size);
                bool fits_unsigned = c->type == VALUE_UINT || c->i >= 0;
                struct value v;
                uint64_t u = 77;
                int64_t i = 77;
                double d = 77;

                assert_int_equal(value_check(bytes, c->size, &v, NULL), 0);
                assert_int_equal(value_type(&v), c->type);
                assert_int_equal(value_get_int(&v, &i), c->type == VALUE_INT ? 0 : -EINVAL);
                assert_true(i == (c->type == VALUE_INT ? c->i : 77));
                assert_int_equal(value_get_uint(&v, &u), fits_unsigned ? 0 : -EINVAL);
                assert_true(u == (fits_unsigned ? c->u : 77));
                assert_int_equal(value_get_double(&v, &d), 0);
                assert_true(d == (c->type == VALUE_INT ? (double)c->i : (double)c->u));
        }
}

static void test_floats(void **state) {
        const struct {
                const uint8_t *bytes;
                size_t size;
                double value;
        } cases[] = {
                { BYTES(0xca, 0, 0, 0, 0), 0.0 },
                { BYTES(0xca, 0x3f, 0x80, 0, 0), 1.0 },
                { BYTES(0xca, 0xc0, 0x49, 0x0f, 0xdb), -3.14159274101257324 },
                { BYTES(0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0), 1.5 },
                { BYTES(0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0), -INFINITY },
                { BYTES(0xcb, 0x00, 0, 0, 0, 0, 0, 0, 1), 4.9406564584124654e-324 },
        };
        struct value v;
        double d;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ uint8_t *bytes = heap_copy(cases[i].bytes, cases[i].size);
                int64_t n;

                assert_int_equal(value_check(bytes, cases[i].size, &v, NULL), 0);
                assert_int_equal(value_type(&v), VALUE_FLOAT);
                assert_int_equal(value_get_double(&v, &d), 0);
                assert_true(d == cases[i].value);
                assert_int_equal(value_get_int(&v, &n), -EINVAL);
        }
        assert_int_equal(value_check(BYTES(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0), &v, NULL), 0);
        assert_int_equal(value_get_double(&v, &d), 0);
        assert_true(isnan(d));
}

static void test_nil_and_bool(void **state) {
        struct value v, zeroed = { 0 };
        bool b = false;

        assert_int_equal(value_check(BYTES(0xc0), &v, NULL), 0);
        assert_int_equal(value_type(&v), VALUE_NIL);
        assert_int_equal(value_type(&zeroed), VALUE_NIL);
        assert_int_equal(value_get_bool(&zeroed, &b), -EINVAL);
        value_next(&zeroed);
        assert_int_equal(value_check(BYTES(0xc3), &v, NULL), 0);
        assert_int_equal(value_type(&v), VALUE_BOOL);
        assert_int_equal(value_get_bool(&v, &b), 0);
        assert_true(b);
        assert_int_equal(value_check(BYTES(0xc2), &v, NULL), 0);
        assert_int_equal(value_get_bool(&v, &b), 0);
        assert_false(b);
}

/* str, bin and ext by every head that can hold the size. */
static void check_body(uint8_t head, unsigned width, unsigned extra, uint64_t size, enum value_type type) {
        size_t whole = 1 + width + extra + size;
        _cleanup_free_ uint8_t *bytes = calloc(1, whole);
        const void *data;
        const char *text;
        struct value v;
        size_t n, where;

        bytes[0] = head;
        for (unsigned i = 0; i < width; i++)
                bytes[1 + i] = (uint8_t)(size >> (8 * (width - 1 - i)));
        memset(bytes + 1 + width + extra, 'a', size);
        assert_int_equal(value_check(bytes, whole, &v, NULL), 0);
        assert_int_equal(value_type(&v), type);
        assert_int_equal(value_get_str(&v, &text, &n), type == VALUE_STR ? 0 : -EINVAL);
        assert_int_equal(value_get_bin(&v, &data, &n), type == VALUE_EXT ? -EINVAL : 0);
        if (type != VALUE_EXT) {
                assert_int_equal(n, size);
                assert_ptr_equal(data, bytes + 1 + width);
        }
        assert_int_equal(value_check(bytes, whole - 1, &v, &where), -EBADMSG);
        value_next(&v);
}

static void test_bodies(void **state) {
        static const uint64_t sizes[] = { 0, 1, 15, 31, 32, 255, 256, 65535, 65536, 70000 };

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                uint64_t n = sizes[i];

                if (n <= 31)
                        check_body((uint8_t)(0xa0 | n), 0, 0, n, VALUE_STR);
                for (unsigned k = 0; k < 3; k++) {
                        if (n >> (8u << k))
                                continue;
                        check_body((uint8_t)(0xd9 + k), 1u << k, 0, n, VALUE_STR);
                        check_body((uint8_t)(0xc4 + k), 1u << k, 0, n, VALUE_BIN);
                        check_body((uint8_t)(0xc7 + k), 1u << k, 1, n, VALUE_EXT);
                }
        }
        for (unsigned k = 0; k < 5; k++)
                check_body((uint8_t)(0xd4 + k), 0, 1, 1u << k, VALUE_EXT);
}

static void check_container(uint8_t head, unsigned width, uint32_t n, bool map) {
        size_t whole = 1 + width + (size_t)n * (map ? 2 : 1);
        _cleanup_free_ uint8_t *bytes = calloc(1, whole);
        struct value v, first;
        uint32_t count = 0;

        bytes[0] = head;
        for (unsigned i = 0; i < width; i++)
                bytes[1 + i] = (uint8_t)(n >> (8 * (width - 1 - i)));
        assert_int_equal(value_check(bytes, whole, &v, NULL), 0);
        assert_int_equal(value_type(&v), map ? VALUE_MAP : VALUE_ARRAY);
        assert_int_equal(value_get_map(&v, &count, &first), map ? 0 : -EINVAL);
        assert_int_equal(value_get_array(&v, &count, &first), map ? -EINVAL : 0);
        assert_int_equal(count, n);
        if (n)
                assert_int_equal(value_check(bytes, whole - 1, &v, NULL), -EBADMSG);
        value_next(&v);
        assert_ptr_equal(v.at, v.end);
}

static void test_containers(void **state) {
        static const uint32_t counts[] = { 0, 1, 15, 16, 255, 65535, 65536 };

        for (size_t i = 0; i < N_ELEMENTS(counts); i++) {
                uint32_t n = counts[i];

                if (n <= 15) {
                        check_container((uint8_t)(0x90 | n), 0, n, false);
                        check_container((uint8_t)(0x80 | n), 0, n, true);
                }
                if (n <= 65535) {
                        check_container(0xdc, 2, n, false);
                        check_container(0xde, 2, n, true);
                }
                check_container(0xdd, 4, n, false);
                check_container(0xdf, 4, n, true);
        }
}

/* Every head, and every beginning of an item that is whole only later. */
static void test_every_head_cut(void **state) {
        for (unsigned head = 0; head <= 0xff; head++) {
                uint8_t bytes[1 + 8] = { (uint8_t)head };
                struct value v;

                for (size_t size = 0; size <= sizeof(bytes); size++) {
                        _cleanup_free_ uint8_t *copy = heap_copy(bytes, size);
                        size_t offset = 99;
                        int r = value_check(copy, size, &v, &offset);

                        assert_true(r == 0 || r == -EBADMSG);
                        assert_true(r == 0 ? offset == 99 : offset <= size);
                        if (head == 0xc1)
                                assert_int_equal(r, -EBADMSG);
                }
        }
}

static void test_bad(void **state) {
        const struct {
                const uint8_t *bytes;
                size_t size, offset;
        } cases[] = {
                { BYTES(0xc1), 0 },
                { BYTES(0x01, 0x02), 1 },       /* something behind */
                { BYTES(0x92, 0x01), 1 },       /* an item is missing */
                { BYTES(0x81, 0xa1, 'a'), 3 },  /* a value is missing */
                { BYTES(0x92, 0x01, 0xc1), 2 }, /* a bad one inside */
                { BYTES(0xa2, 'a'), 0 },
                { BYTES(0xd9), 0 },
                { BYTES(0xdb, 0xff, 0xff, 0xff, 0xff, 'a'), 0 },
                { BYTES(0xc6, 0xff, 0xff, 0xff, 0xff), 0 },
                { BYTES(0xc9, 0xff, 0xff, 0xff, 0xff, 0x01), 0 },
                { BYTES(0xc7, 0x00), 0 }, /* the ext's type is missing */
                { BYTES(0xdd, 0xff, 0x00, 0x00, 0x00), 5 },
                { BYTES(0xdd, 0xff, 0xff, 0xff, 0xff, 0x00), 5 },
                { BYTES(0xdf, 0xff, 0xff, 0xff, 0xff), 5 },
                { BYTES(0xdf, 0x80, 0x00, 0x00, 0x01, 0x00, 0x00), 5 }, /* twice the count is 2 in 32 bits */
                { BYTES(0xcf, 0, 0, 0, 0, 0, 0, 0), 0 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ uint8_t *bytes = heap_copy(cases[i].bytes, cases[i].size);
                struct value v;
                size_t offset = 99;

                assert_int_equal(value_check(bytes, cases[i].size, &v, &offset), -EBADMSG);
                assert_int_equal(offset, cases[i].offset);
        }
}

static void test_nothing(void **state) {
        struct value v;
        size_t offset = 99;

        assert_int_equal(value_check(NULL, 0, &v, &offset), -EBADMSG);
        assert_int_equal(offset, 0);
}

static void test_depth(void **state) {
        static const uint8_t arrays[] = { 0x91, 0x81 }; /* an array of one; a map whose value goes on */

        for (unsigned map = 0; map < 2; map++) {
                for (unsigned depth = 1; depth <= 2 * VALUE_DEPTH_MAX; depth++) {
                        uint8_t bytes[8 * VALUE_DEPTH_MAX];
                        size_t n = 0;
                        struct value v;

                        for (unsigned i = 0; i < depth; i++) {
                                bytes[n++] = arrays[map];
                                if (map)
                                        bytes[n++] = 0x01;
                        }
                        bytes[n++] = 0xc0;
                        assert_int_equal(value_check(bytes, n, &v, NULL), depth <= VALUE_DEPTH_MAX ? 0 : -EBADMSG);
                        /* an empty one counts like another */
                        bytes[n - 1] = 0x90;
                        assert_int_equal(value_check(bytes, n, &v, NULL), depth < VALUE_DEPTH_MAX ? 0 : -EBADMSG);
                }
        }
}

static void test_walk(void **state) {
        /* [[1, {"k": [true]}], "s", 5] */
        static const uint8_t bytes[] = { 0x93, 0x92, 0x01, 0x81, 0xa1, 'k', 0x91, 0xc3, 0xa1, 's', 0x05 };
        struct value v, at;
        const char *text;
        uint32_t count;
        size_t size;
        int64_t i;

        assert_int_equal(value_check(bytes, sizeof(bytes), &v, NULL), 0);
        assert_int_equal(value_get_array(&v, &count, &at), 0);
        assert_int_equal(count, 3);
        value_next(&at); /* over all that the first contains */
        assert_int_equal(value_get_str(&at, &text, &size), 0);
        assert_memory_equal(text, "s", 1);
        value_next(&at);
        assert_int_equal(value_get_int(&at, &i), 0);
        assert_int_equal(i, 5);
        value_next(&at);
        assert_ptr_equal(at.at, at.end);
        value_next(&at); /* and stays there */
        assert_ptr_equal(at.at, at.end);
        assert_int_equal(value_type(&at), VALUE_NIL);
}

static void test_map_get(void **state) {
        /* {"a": 1, 2: 3, "ab": [4], "a": 5, "": 6} */
        static const uint8_t bytes[] = { 0x85, 0xa1, 'a', 0x01, 0x02, 0x03, 0xa2, 'a', 'b', 0x91, 0x04, 0xa1, 'a', 0x05, 0xa0, 0x06 };
        struct value v, got;
        int64_t i;

        assert_int_equal(value_check(bytes, sizeof(bytes), &v, NULL), 0);
        assert_int_equal(value_map_get(&v, "a", &got), 0);
        assert_int_equal(value_get_int(&got, &i), 0);
        assert_int_equal(i, 1); /* the first of two */
        assert_int_equal(value_map_get(&v, "ab", &got), 0);
        assert_int_equal(value_type(&got), VALUE_ARRAY);
        assert_int_equal(value_map_get(&v, "", &got), 0);
        assert_int_equal(value_get_int(&got, &i), 0);
        assert_int_equal(i, 6);
        assert_int_equal(value_map_get(&v, "b", &got), -ENOENT);
        assert_int_equal(value_map_get(&v, "abc", &got), -ENOENT);
        assert_int_equal(value_map_get(&got, "b", &got), -EINVAL);
}

static void test_names(void **state) {
        assert_string_equal(value_type_name(VALUE_NIL), "nil");
        assert_string_equal(value_type_name(VALUE_UINT), "uint");
        assert_string_equal(value_type_name(VALUE_EXT), "ext");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers), cmocka_unit_test(test_floats),     cmocka_unit_test(test_nil_and_bool),
                cmocka_unit_test(test_bodies),   cmocka_unit_test(test_containers), cmocka_unit_test(test_every_head_cut),
                cmocka_unit_test(test_bad),      cmocka_unit_test(test_nothing),    cmocka_unit_test(test_depth),
                cmocka_unit_test(test_walk),     cmocka_unit_test(test_map_get),    cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
