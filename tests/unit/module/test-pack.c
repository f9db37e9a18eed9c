/* SPDX-License-Identifier: Apache-2.0
 *
 * socle_pack() and socle_unpack(): formats, bytes, and every way to fail.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msgpack.h>

#include "ipc/cleanup.h"
#include "ipc/value.h"
#include "libmodule/worker-internal.h"
#include "tests/unit/msgpack/dump.h"
#include "tests/unit/msgpack/vectors.h"

/* The buffer's bytes are the library's own business; this is how they lie. */
static const msgpack_sbuffer *bytes_of(const struct socle_buffer *b) {
        return (const msgpack_sbuffer *)(const void *)b;
}

static struct socle_value value_of(const struct socle_buffer *b) {
        struct socle_value out;
        struct value v;

        assert_int_equal(value_check(bytes_of(b)->data, bytes_of(b)->size, &v, NULL), 0);
        memcpy(&out, &v, sizeof(out));
        return out;
}

static void expect_bytes(const struct socle_buffer *b, const char *bytes, size_t size) {
        assert_int_equal(bytes_of(b)->size, size);
        assert_memory_equal(bytes_of(b)->data, bytes, size);
}

#define EXPECT(bytes, ...)                                                                                                                 \
        do {                                                                                                                               \
                struct socle_buffer *_b = socle_buffer_new();                                                                              \
                assert_int_equal(socle_pack(_b, __VA_ARGS__), 0);                                                                          \
                expect_bytes(_b, bytes, sizeof(bytes) - 1);                                                                                \
                socle_buffer_free(_b);                                                                                                     \
        } while (0)

static void test_pack(void **state) {
        EXPECT("\xc0", "n");
        EXPECT("\xc3", "b", 5);
        EXPECT("\xc2", " b ", 0);
        EXPECT("\x05", "i", 5);
        EXPECT("\xff", "i", -1);
        EXPECT("\xd3\x80\0\0\0\0\0\0\0", "I", (long long)INT64_MIN);
        EXPECT("\xcb\x3f\xf8\0\0\0\0\0\0", "f", 1.5);
        EXPECT("\xa2hi", "s", "hi");
        EXPECT("\xc4\x02\0\1", "y#", "\0\1", (size_t)2);
        EXPECT("\xc4\x00", "y#", NULL, (size_t)7);
        EXPECT("\x90", "[]");
        EXPECT("\x80", "{}");
        EXPECT("\x93\x01\x92\xa1x\xc0\x02", "[i, [s, n], i]", 1, "x", 2);
        EXPECT("\x82\xa1"
               "a\x01\xa1"
               "b\x81\xa1"
               "c\x91\xc3",
               "{s:i, s:{s:[b]}}", "a", 1, "b", "c", 1);
}

static void test_bad_formats(void **state) {
        static const char *const formats[] = { "",       " ",       "x",     "ii",   "i i",     "[",       "[i",      "]",  "[i}",
                                               "{",      "{s}",     "{i:i}", "{s:i", "{s:i]",   "{s:i,s}", "y",       "y$", "#",
                                               "{[]:i}", "[{i:i}]", "[x]",   "n]",   "{s:{s}}", "{v:i}",   "{s:@,@s}" };
        struct socle_buffer *b = socle_buffer_new();
        char deep[200];

        for (size_t i = 0; i < N_ELEMENTS(formats); i++) {
                struct socle_value v = { { NULL, NULL } };

                assert_int_equal(socle_pack(b, formats[i], "a", "b", "c"), -EINVAL);
                assert_int_equal(socle_unpack(&v, formats[i]), -EINVAL);
        }
        /* as deep as a receiver takes it, and no deeper */
        for (size_t depth = VALUE_DEPTH_MAX; depth < 100; depth++) {
                memset(deep, '[', depth);
                memset(deep + depth, ']', depth);
                deep[2 * depth] = '\0';
                assert_int_equal(socle_pack(b, deep), depth == VALUE_DEPTH_MAX ? 0 : -EINVAL);
        }
        assert_int_equal(bytes_of(b)->size, VALUE_DEPTH_MAX);
        value_of(b);
        socle_buffer_free(b);
        assert_null(socle_buffer_free(NULL));
}

/* What failed leaves nothing behind, what was there before stays. */
static void test_pack_takes_back(void **state) {
        struct socle_buffer *b = socle_buffer_new();

        assert_int_equal(socle_pack(b, "i", 1), 0);
        assert_int_equal(socle_pack(b, "[i, s, s]", 2, "x", NULL), -EINVAL);
        assert_int_equal(socle_pack(b, "y#", "x", (size_t)UINT32_MAX + 1), -EINVAL);
        assert_int_equal(socle_pack(b, "i", 3), 0);
        expect_bytes(b, "\x01\x03", 2);
        socle_buffer_free(b);
}

static void test_unpack(void **state) {
        struct socle_buffer *b = socle_buffer_new();
        const char *name = NULL, *inner = NULL;
        const void *data = NULL;
        struct socle_value v;
        size_t size = 0;
        long long big = 0;
        int small = 0, yes = 0;
        double d = 0;

        assert_int_equal(socle_pack(b, "{s:s, s:I, s:i, s:[f,b,n], s:y#, s:{s:s}}", "name", "socle", "big", 1ll << 40, "small", -7, "list",
                                    0.5, 1, "bytes", "\1\2\3", (size_t)3, "in", "ner", "deep"),
                         0);
        v = value_of(b);
        assert_int_equal(socle_unpack(&v, "{s:y#, s:I, s:s, s:i, s:[f,b,n], s:{s:s}}", "bytes", &data, &size, "big", &big, "name", &name,
                                      "small", &small, "list", &d, &yes, "in", "ner", &inner),
                         0);
        assert_string_equal(name, "socle");
        assert_true(big == 1ll << 40);
        assert_int_equal(small, -7);
        assert_true(d == 0.5);
        assert_int_equal(yes, 1);
        assert_int_equal(size, 3);
        assert_memory_equal(data, "\1\2\3", 3);
        assert_string_equal(inner, "deep");
        socle_buffer_free(b);
}

/* Each error, and that nothing was written before it was found. */
static void test_unpack_refuses(void **state) {
        struct socle_buffer *b = socle_buffer_new();
        const char *text = "untouched";
        struct socle_value v;
        long long big = 77;
        int i = 77, k = 78;
        double d = 77;

        assert_int_equal(socle_pack(b, "{s:i, s:s, s:[i,i], s:I}", "i", 1, "s", "x", "l", 1, 2, "big", 1ll << 31), 0);
        v = value_of(b);
        assert_int_equal(socle_unpack(&v, "{s:i, s:i}", "i", &i, "none", &k), -ENOENT);
        assert_int_equal(socle_unpack(&v, "{s:i, s:{s:i}}", "i", &i, "none", "x", &k), -ENOENT);
        assert_int_equal(socle_unpack(&v, "{s:i, s:[i]}", "i", &i, "none", &k), -ENOENT);
        assert_int_equal(socle_unpack(&v, "{s:i, s:i}", "i", &i, "s", &k), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:s}", "i", &i, "l", &text), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:i}", "i", &i, "big", &k), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:[i]}", "i", &i, "l", &k), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:[i,i,i]}", "i", &i, "l", &k, &k, &k), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:n}", "i", &i, "s"), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:b}", "i", &i, "i", &k), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:i, s:f}", "i", &i, "s", &d), -EINVAL);
        assert_int_equal(socle_unpack(&v, "{s:s, s:{s:i}}", "s", &text, "i", "x", &k), -EINVAL);
        assert_int_equal(socle_unpack(&v, "[i]", &i), -EINVAL);
        assert_int_equal(socle_unpack(&v, "I", &big), -EINVAL);
        assert_int_equal(i, 77);
        assert_int_equal(k, 78);
        assert_true(big == 77 && d == 77);
        assert_string_equal(text, "untouched");
        assert_int_equal(socle_unpack(&v, "{s:I, s:f}", "big", &big, "i", &d), 0);
        assert_true(big == 1ll << 31 && d == 1);
        socle_buffer_free(b);
}

static void test_nil(void **state) {
        struct socle_value nil = { { NULL, NULL } };
        int i = 77;

        assert_int_equal(socle_unpack(&nil, "n"), 0);
        assert_int_equal(socle_unpack(&nil, "i", &i), -EINVAL);
        assert_null(socle_value_text(&nil));
}

static void test_strings_end_at_their_end(void **state) {
        struct socle_buffer *b = socle_buffer_new();
        const char *text = "untouched";
        const void *data;
        struct socle_value v;
        struct value cut;
        size_t size;

        assert_int_equal(value_check("\xa3"
                                     "a\0b",
                                     4, &cut, NULL),
                         0);
        memcpy(&v, &cut, sizeof(v));
        assert_int_equal(socle_unpack(&v, "s", &text), -EINVAL);
        assert_string_equal(text, "untouched");
        assert_null(socle_value_text(&v));
        assert_int_equal(socle_unpack(&v, "y#", &data, &size), 0);
        assert_int_equal(size, 3);
        socle_buffer_free(b);
}

/* Any number ---------------------------------------------------------------------------------------------------------- */

static struct socle_buffer *buffer_of(int n) {
        struct socle_buffer *b = socle_buffer_new();

        for (int i = 0; i < n; i++)
                assert_int_equal(socle_pack(b, "i", i), 0);
        return b;
}

static void test_buffers_in_their_place(void **state) {
        struct socle_buffer *none = buffer_of(0), *one = buffer_of(1), *two = buffer_of(2), *many = buffer_of(70000);
        struct socle_buffer *b = socle_buffer_new();
        struct socle_value list, item;
        int last = 0;
        size_t n;

        EXPECT("\x90", "[@]", none);
        EXPECT("\x80", "{@}", none);
        EXPECT("\x00", "@", one);
        EXPECT("\x92\x00\x01", "[@]", two);
        EXPECT("\x95\x07\x00\x01\x08\x00", "[i,@,i,@]", 7, two, 8, one);
        EXPECT("\x92\x92\x00\x01\x92\x00\x01", "[[@],[@]]", two, two);
        EXPECT("\x82\x00\x01\xa1k\x00", "{@ s:@}", two, "k", one);
        EXPECT("\x81\xa1k\x92\x00\x01", "{s:[@]}", "k", two);
        assert_int_equal(socle_pack(b, "{s:[@], s:i}", "list", many, "last", 5), 0);
        list = value_of(b);
        assert_int_equal(socle_unpack(&list, "{s:i, s:v}", "last", &last, "list", &list), 0);
        assert_int_equal(last, 5);
        assert_int_equal(socle_value_items(&list, &n, &item), 0);
        assert_int_equal(n, 70000);
        for (int i = 0; i < 70000; i++, socle_value_next(&item)) {
                assert_int_equal(socle_unpack(&item, "i", &last), 0);
                assert_int_equal(last, i);
        }
        /* behind the last one is what is no item of it: here the next key */
        assert_string_equal(socle_value_text(&item), "last");
        for (int i = 0; i < 10; i++)
                socle_value_next(&item);
        assert_int_equal(socle_unpack(&item, "n"), 0);
        socle_buffer_free(none);
        socle_buffer_free(one);
        socle_buffer_free(two);
        socle_buffer_free(many);
        socle_buffer_free(b);
}

static void test_buffers_out_of_place(void **state) {
        struct socle_buffer *none = buffer_of(0), *one = buffer_of(1), *two = buffer_of(2), *b = buffer_of(1);
        struct socle_value v = { { NULL, NULL } };
        size_t n = 77;

        assert_int_equal(socle_pack(b, "@", none), -EINVAL);
        assert_int_equal(socle_pack(b, "@", two), -EINVAL);
        assert_int_equal(socle_pack(b, "@", NULL), -EINVAL);
        assert_int_equal(socle_pack(b, "[@]", NULL), -EINVAL);
        assert_int_equal(socle_pack(b, "[@]", b), -EINVAL);
        assert_int_equal(socle_pack(b, "{@}", one), -EINVAL);
        assert_int_equal(socle_pack(b, "{s:@}", "k", none), -EINVAL);
        assert_int_equal(socle_pack(b, "{s:@}", "k", two), -EINVAL);
        assert_int_equal(socle_pack(b, "{s:i,@,@}", "k", 1, one, one), -EINVAL);
        assert_int_equal(socle_pack(b, "[i,v]", 1, NULL), -EINVAL);
        assert_int_equal(socle_unpack(&v, "@", b), -EINVAL);
        assert_int_equal(socle_unpack(&v, "[@]", b), -EINVAL);
        assert_int_equal(socle_value_items(&v, &n, &v), -EINVAL);
        assert_int_equal(n, 77);
        expect_bytes(b, "\x00", 1);
        assert_int_equal(socle_pack(b, "[@]", two), 0);
        expect_bytes(b, "\x00\x92\x00\x01", 4);
        socle_buffer_free(none);
        socle_buffer_free(one);
        socle_buffer_free(two);
        socle_buffer_free(b);
}

/* What is put together is no deeper than a receiver takes it. */
static void test_depth_of_what_is_put_together(void **state) {
        struct socle_buffer *b = buffer_of(1);

        for (unsigned depth = 1; depth <= VALUE_DEPTH_MAX + 1; depth++) {
                struct socle_buffer *around = socle_buffer_new(), *copy = socle_buffer_new();
                struct socle_value inner = value_of(b);

                assert_int_equal(socle_pack(around, "[@]", b), depth <= VALUE_DEPTH_MAX ? 0 : -EINVAL);
                assert_int_equal(socle_pack(copy, "[v]", &inner), depth <= VALUE_DEPTH_MAX ? 0 : -EINVAL);
                assert_int_equal(bytes_of(around)->size, depth <= VALUE_DEPTH_MAX ? depth + 1 : 0);
                assert_int_equal(bytes_of(copy)->size, bytes_of(around)->size);
                socle_buffer_free(copy);
                socle_buffer_free(b);
                b = around;
        }
        socle_buffer_free(b);
}

/* The vectors: each value taken by its letter and packed again ---------------------------------------------------------- */

static struct value cursor_of(const struct socle_value *v) {
        struct value out;

        memcpy(&out, v, sizeof(out));
        return out;
}

static void repack(struct socle_buffer *b, const struct socle_value *v);

static void repack_items(struct socle_buffer *b, const struct socle_value *v, bool map) {
        struct socle_buffer *items = socle_buffer_new();
        struct socle_value item;
        size_t n;

        assert_int_equal(socle_value_items(v, &n, &item), 0);
        for (size_t i = 0; i < (map ? 2 * n : n); i++, socle_value_next(&item))
                repack(items, &item);
        assert_int_equal(socle_pack(b, map ? "{@}" : "[@]", items), 0);
        socle_buffer_free(items);
}

static void repack_number(struct socle_buffer *b, const struct socle_value *v) {
        long long big;
        double f, same;
        int small;

        if (socle_unpack(v, "I", &big)) {
                assert_int_equal(socle_unpack(v, "f", &f), 0);
                assert_int_equal(socle_pack(b, "f", f), 0);
                return;
        }
        assert_int_equal(socle_unpack(v, "i", &small), big >= INT32_MIN && big <= INT32_MAX ? 0 : -EINVAL);
        assert_int_equal(socle_unpack(v, "f", &same), 0);
        assert_true(same == (double)big);
        if (big >= INT32_MIN && big <= INT32_MAX)
                assert_int_equal(socle_pack(b, "i", small), 0);
        else
                assert_int_equal(socle_pack(b, "I", big), 0);
}

static void repack_bytes(struct socle_buffer *b, const struct socle_value *v) {
        const void *data = NULL;
        size_t size = 0;

        assert_int_equal(socle_unpack(v, "y#", &data, &size), 0);
        assert_int_equal(socle_pack(b, "y#", data, size), 0);
}

static void repack(struct socle_buffer *b, const struct socle_value *v) {
        struct value cursor = cursor_of(v);
        const char *text;
        int yes;

        switch (value_type(&cursor)) {
        case VALUE_INT:
        case VALUE_FLOAT:
                repack_number(b, v);
                break;
        case VALUE_BIN:
                repack_bytes(b, v);
                break;
        case VALUE_ARRAY:
        case VALUE_MAP:
                repack_items(b, v, value_type(&cursor) == VALUE_MAP);
                break;
        case VALUE_BOOL:
                assert_int_equal(socle_unpack(v, "b", &yes), 0);
                assert_int_equal(socle_pack(b, "b", yes), 0);
                break;
        case VALUE_NIL:
                assert_int_equal(socle_unpack(v, "n"), 0);
                assert_int_equal(socle_pack(b, "n"), 0);
                break;
        case VALUE_STR:
                /* not when there is a NUL inside */
                if (socle_unpack(v, "s", &text) == 0)
                        assert_int_equal(socle_pack(b, "s", text), 0);
                else
                        assert_int_equal(socle_pack(b, "v", v), 0);
                break;
        default:
                assert_int_equal(socle_pack(b, "v", v), 0);
                break;
        }
}

/* The shortest form comes out, and the same value. */
static void test_vectors(void **state) {
        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                struct socle_buffer *b = socle_buffer_new(), *same = socle_buffer_new();
                struct dump was = { .size = 0 }, is = { .size = 0 };
                size_t size;
                _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);
                struct socle_value v, back;
                struct value cursor;

                if (value_check(bytes, size, &cursor, NULL) == 0) {
                        dump_value(&was, &cursor);
                        memcpy(&v, &cursor, sizeof(v));
                        repack(b, &v);
                        back = value_of(b);
                        cursor = cursor_of(&back);
                        dump_value(&is, &cursor);
                        if (!dump_equal(&was, &is))
                                fail_msg("%s: %s became %s", c->name, was.text, is.text);
                        if (!c->repacked && (bytes_of(b)->size != size || memcmp(bytes_of(b)->data, bytes, size)))
                                fail_msg("%s is packed in another form", c->name);
                        if (c->repacked && bytes_of(b)->size == size && !memcmp(bytes_of(b)->data, bytes, size))
                                fail_msg("%s is packed as it was", c->name);
                        /* and as it is, whatever it is */
                        assert_int_equal(socle_unpack(&v, "v", &back), 0);
                        assert_int_equal(socle_pack(same, "v", &back), 0);
                        expect_bytes(same, (const char *)bytes, size);
                }
                socle_buffer_free(b);
                socle_buffer_free(same);
        }
}

static int deinit(void **state) {
        arena_deinit(&the_worker.arena); /* texts outside a request are the worker's */
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pack),
                cmocka_unit_test(test_bad_formats),
                cmocka_unit_test(test_pack_takes_back),
                cmocka_unit_test(test_unpack),
                cmocka_unit_test(test_unpack_refuses),
                cmocka_unit_test(test_nil),
                cmocka_unit_test(test_strings_end_at_their_end),
                cmocka_unit_test(test_buffers_in_their_place),
                cmocka_unit_test(test_buffers_out_of_place),
                cmocka_unit_test(test_depth_of_what_is_put_together),
                cmocka_unit_test(test_vectors),
        };

        return cmocka_run_group_tests(tests, NULL, deinit);
}
