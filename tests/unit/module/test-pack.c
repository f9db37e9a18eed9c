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
        static const char *const formats[] = { "",    " ", "x",      "ii",      "i i",  "[",     "[i",      "]",
                                               "[i}", "{", "{s}",    "{i:i}",   "{s:i", "{s:i]", "{s:i,s}", "y",
                                               "y$",  "#", "{[]:i}", "[{i:i}]", "[x]",  "n]",    "{s:{s}}" };
        struct socle_buffer *b = socle_buffer_new();
        char deep[200];

        for (size_t i = 0; i < N_ELEMENTS(formats); i++) {
                struct socle_value v = { { NULL, NULL } };

                assert_int_equal(socle_pack(b, formats[i], "a", "b", "c"), -EINVAL);
                assert_int_equal(socle_unpack(&v, formats[i]), -EINVAL);
        }
        memset(deep, '[', 99);
        memset(deep + 99, ']', 99);
        deep[198] = '\0';
        assert_int_equal(socle_pack(b, deep), -EINVAL);
        assert_int_equal(bytes_of(b)->size, 0);
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

static int deinit(void **state) {
        arena_deinit(&the_worker.arena); /* texts outside a request are the worker's */
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pack),   cmocka_unit_test(test_bad_formats),    cmocka_unit_test(test_pack_takes_back),
                cmocka_unit_test(test_unpack), cmocka_unit_test(test_unpack_refuses), cmocka_unit_test(test_nil),
        };

        return cmocka_run_group_tests(tests, NULL, deinit);
}
