/* SPDX-License-Identifier: Apache-2.0
 *
 * The msgpack cursor: the vectors of the specification, each cut at every byte
 * and with something behind; then, for those and for a great many mutations of
 * them, that msgpack-c takes the same and comes to the same.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msgpack.h>

#include "ipc/cleanup.h"
#include "ipc/value.h"
#include "tests/unit/msgpack/dump.h"
#include "tests/unit/msgpack/vectors.h"

#define MUTATIONS 200000
#define MUTATED_MAX 400

/* What the test was at is said by cmocka's line only in part. */
#define CHECK(condition, ...)                                                                                                              \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        print_error(__VA_ARGS__);                                                                                          \
                        print_error(": %s\n", #condition);                                                                                 \
                        fail();                                                                                                            \
                }                                                                                                                          \
        } while (0)

/* The vectors -------------------------------------------------------------------------------------------------------- */

static void test_vectors(void **state) {
        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                size_t size, at = SIZE_MAX;
                _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);
                struct dump d = { .size = 0 };
                struct value v;
                int r = value_check(bytes, size, &v, &at);

                CHECK(r == (c->text ? 0 : -EBADMSG), "%s: %d, at %zu", c->name, r, at);
                CHECK(at == (c->text ? SIZE_MAX : c->at), "%s: at %zu", c->name, at);
                if (!c->text)
                        continue;
                dump_value(&d, &v);
                CHECK(!strcmp(d.text, c->text), "%s: got %s, expected %s", c->name, d.text, c->text);
                value_next(&v);
                CHECK(v.at == v.end && v.at == bytes + size, "%s", c->name);
        }
}

/* A getter takes its own type and leaves what it does not take as it was. */
static void test_getters(void **state) {
        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                size_t size, n = 77;
                _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);
                const void *data = &n;
                const char *text = "x";
                struct value v, first;
                enum value_type t;
                uint64_t u = 77;
                int64_t i = 77;
                double f = 77;
                uint32_t k = 77;
                bool b = false;

                if (value_check(bytes, size, &v, NULL) < 0)
                        continue;
                t = value_type(&v);
                CHECK((value_get_bool(&v, &b) == 0) == (t == VALUE_BOOL), "%s", c->name);
                CHECK((value_get_int(&v, &i) == 0) == (t == VALUE_INT) && (t == VALUE_INT || i == 77), "%s", c->name);
                CHECK((value_get_uint(&v, &u) == 0) == (t == VALUE_UINT || (t == VALUE_INT && i >= 0)), "%s", c->name);
                CHECK(t != VALUE_INT || (i >= 0 ? u == (uint64_t)i : u == 77), "%s", c->name);
                CHECK((value_get_double(&v, &f) == 0) == (t == VALUE_INT || t == VALUE_UINT || t == VALUE_FLOAT), "%s", c->name);
                CHECK(t != VALUE_INT || f == (double)i, "%s", c->name);
                CHECK(t != VALUE_UINT || f == (double)u, "%s", c->name);
                CHECK((value_get_str(&v, &text, &n) == 0) == (t == VALUE_STR), "%s", c->name);
                CHECK((value_get_bin(&v, &data, &n) == 0) == (t == VALUE_STR || t == VALUE_BIN), "%s", c->name);
                CHECK(n == 77 || (const uint8_t *)data + n == v.end, "%s", c->name);
                CHECK((value_get_array(&v, &k, &first) == 0) == (t == VALUE_ARRAY), "%s", c->name);
                CHECK((value_get_map(&v, &k, &first) == 0) == (t == VALUE_MAP), "%s", c->name);
        }
}

/* At every byte; large ones at the first and last 100, and in big steps between. */
static void test_vectors_cut(void **state) {
        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                size_t size;
                _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);

                for (size_t cut = 0; c->text && cut < size;
                     cut += cut < 100 || size - cut <= 100 ? 1 : MIN((size_t)4999, size - cut - 100)) {
                        _cleanup_free_ uint8_t *copy = exact_copy(bytes, cut);
                        size_t at = SIZE_MAX;
                        struct value v;

                        CHECK(value_check(copy, cut, &v, &at) == -EBADMSG, "%s, cut at %zu", c->name, cut);
                        CHECK(at <= cut, "%s, cut at %zu: at %zu", c->name, cut, at);
                }
        }
}

static void test_vectors_too_long(void **state) {
        static const uint8_t behind[] = { 0x00, 0xc0, 0xc1, 0xff };

        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                size_t size;
                _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);

                for (size_t i = 0; c->text && i < sizeof(behind); i++) {
                        _cleanup_free_ uint8_t *copy = malloc(size + 1);
                        size_t at = SIZE_MAX;
                        struct value v;

                        memcpy(copy, bytes, size);
                        copy[size] = behind[i];
                        CHECK(value_check(copy, size + 1, &v, &at) == -EBADMSG && at == size, "%s and %02x: at %zu", c->name, behind[i],
                              at);
                }
        }
}

/* msgpack-c ---------------------------------------------------------------------------------------------------------- */

static msgpack_zone zone;

/* What msgpack-c makes of it; false: it is not one whole value. */
static bool theirs(const uint8_t *bytes, size_t size, struct dump *ret_dump) {
        msgpack_object o;
        size_t used = 0;

        msgpack_zone_clear(&zone);
        if (!size || msgpack_unpack((const char *)bytes, size, &used, &zone, &o) != MSGPACK_UNPACK_SUCCESS || used != size)
                return false;
        dump_object(ret_dump, &o);
        return true;
}

static int zone_open(void **state) {
        return msgpack_zone_init(&zone, 16384) ? 0 : -1;
}

static int zone_close(void **state) {
        msgpack_zone_destroy(&zone);
        return 0;
}

static void test_vectors_by_msgpack_c(void **state) {
        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                struct dump a = { .size = 0 }, b = { .size = 0 };
                size_t size;
                _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);
                struct value v;
                bool whole;

                if (c->huge)
                        continue;
                whole = theirs(bytes, size, &b);
                CHECK(whole == (c->text != NULL), "%s: msgpack-c says %s", c->name, whole ? b.text : "no");
                if (!c->text)
                        continue;
                value_check(bytes, size, &v, NULL);
                dump_value(&a, &v);
                CHECK(dump_equal(&a, &b), "%s: %s, msgpack-c %s", c->name, a.text, b.text);
        }
}

struct mutated {
        uint8_t bytes[MUTATED_MAX];
        size_t size;
};

static uint64_t seed = UINT64_C(0x5eed5eed5eed5eed);

static uint32_t chance(uint32_t below) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)(seed >> 32) % below;
}

static void insert(struct mutated *m, size_t at, const uint8_t *bytes, size_t size) {
        size = MIN(size, MUTATED_MAX - m->size);
        memmove(m->bytes + at + size, m->bytes + at, m->size - at);
        memcpy(m->bytes + at, bytes, size);
        m->size += size;
}

static void insert_vector(struct mutated *m, size_t at) {
        const struct vector *c = &vectors[chance((uint32_t)n_vectors)];
        _cleanup_free_ uint8_t *bytes = NULL;
        size_t size;

        if (vector_size(c) > 300)
                return;
        bytes = vector_bytes(c, &size);
        insert(m, at, bytes, size);
}

static void mutate(struct mutated *m) {
        static const uint8_t heads[] = { 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xe0, 0xff };
        size_t at = m->size ? chance((uint32_t)m->size) : 0;
        uint8_t byte = chance(2) ? heads[chance(sizeof(heads))] : (uint8_t)(0xc0 + chance(0x20));

        switch (m->size ? chance(6) : 5) {
        case 0:
                m->bytes[at] ^= (uint8_t)(1u << chance(8));
                break;
        case 1:
                m->bytes[at] = byte;
                break;
        case 2:
                m->size = at;
                break;
        case 3:
                memmove(m->bytes + at, m->bytes + at + 1, m->size - at - 1);
                m->size--;
                break;
        case 4:
                insert(m, at, &byte, 1);
                break;
        default:
                insert_vector(m, at);
                break;
        }
}

/* msgpack-c allocates for what is declared: counts that cannot be true are left to the vectors. */
static bool is_huge(const struct mutated *m) {
        for (size_t i = 0; i + 4 < m->size; i++) {
                const uint8_t *at = m->bytes + i;

                if (((*at & 0xfd) == 0xdc && at[1]) || ((*at & 0xfd) == 0xdd && (at[1] || at[2] || at[3])))
                        return true;
        }
        return false;
}

static void test_mutations_by_msgpack_c(void **state) {
        unsigned taken = 0, asked = 0;
        struct mutated m = { .size = 0 };

        for (unsigned n = 0; n < MUTATIONS; n++) {
                struct dump a = { .size = 0 }, b = { .size = 0 };
                _cleanup_free_ uint8_t *copy = NULL;
                struct value v;
                bool ours;

                if (!chance(4))
                        m.size = 0;
                mutate(&m);
                if (is_huge(&m))
                        continue;
                asked++;
                copy = exact_copy(m.bytes, m.size);
                ours = value_check(copy, m.size, &v, NULL) == 0;
                if (!theirs(copy, m.size, &b)) {
                        CHECK(!ours, "mutation %u: only we take it", n);
                        continue;
                }
                /* the one reason that there is: theirs may have been built with a deeper stack */
                CHECK(ours == (b.depth <= VALUE_DEPTH_MAX), "mutation %u: %s, %u deep", n, b.text, b.depth);
                if (!ours)
                        continue;
                dump_value(&a, &v);
                CHECK(dump_equal(&a, &b), "mutation %u: %s, msgpack-c %s", n, a.text, b.text);
                taken++;
        }
        assert_true(asked > MUTATIONS / 2 && taken > asked / 20);
}

/* What no vector says ------------------------------------------------------------------------------------------------ */

static void test_zeroed(void **state) {
        struct value zeroed = { 0 };
        bool b = false;

        assert_int_equal(value_type(&zeroed), VALUE_NIL);
        assert_int_equal(value_get_bool(&zeroed, &b), -EINVAL);
        value_next(&zeroed);
        assert_null(zeroed.at);
}

/* Every head, and every beginning of an item that is whole only later. */
static void test_every_head_cut(void **state) {
        for (unsigned head = 0; head <= 0xff; head++) {
                uint8_t bytes[1 + 8] = { (uint8_t)head };
                struct value v;

                for (size_t size = 0; size <= sizeof(bytes); size++) {
                        _cleanup_free_ uint8_t *copy = exact_copy(bytes, size);
                        size_t offset = 99;
                        int r = value_check(copy, size, &v, &offset);

                        assert_true(r == 0 || r == -EBADMSG);
                        assert_true(r == 0 ? offset == 99 : offset <= size);
                        if (head == 0xc1)
                                assert_int_equal(r, -EBADMSG);
                }
        }
}

static void test_nothing(void **state) {
        struct value v;
        size_t offset = 99;

        assert_int_equal(value_check(NULL, 0, &v, &offset), -EBADMSG);
        assert_int_equal(offset, 0);
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
                cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_getters),
                cmocka_unit_test(test_vectors_cut),
                cmocka_unit_test(test_vectors_too_long),
                cmocka_unit_test(test_vectors_by_msgpack_c),
                cmocka_unit_test(test_mutations_by_msgpack_c),
                cmocka_unit_test(test_zeroed),
                cmocka_unit_test(test_every_head_cut),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_walk),
                cmocka_unit_test(test_map_get),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, zone_open, zone_close);
}
