/* SPDX-License-Identifier: Apache-2.0
 *
 * Arenas: aligned, disjoint, freed together (the sanitizer sees what is not).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "libmodule/arena.h"

static void test_sizes(void **state) {
        static const size_t sizes[] = { 0, 1, 15, 16, 17, 100, 2047, 2048, 2049, 100000 };
        struct arena arena = { 0 };
        uint8_t *pieces[N_ELEMENTS(sizes) * 50];

        for (size_t i = 0; i < N_ELEMENTS(pieces); i++) {
                size_t size = sizes[i % N_ELEMENTS(sizes)];

                pieces[i] = arena_alloc(&arena, size);
                assert_non_null(pieces[i]);
                assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
                memset(pieces[i], (int)i, size);
        }
        for (size_t i = 0; i < N_ELEMENTS(pieces); i++) {
                for (size_t k = 0; k < sizes[i % N_ELEMENTS(sizes)]; k++)
                        assert_int_equal(pieces[i][k], (uint8_t)i);
        }
        arena_deinit(&arena);
        assert_null(arena.blocks);
        arena_deinit(&arena);
}

static void test_too_much(void **state) {
        struct arena arena = { 0 };

        /* rounded up it would be nothing */
        assert_null(arena_alloc(&arena, SIZE_MAX));
        assert_null(arena_alloc(&arena, SIZE_MAX - 15));
        assert_null(arena_alloc(&arena, SIZE_MAX / 2));
        assert_null(arena_text(&arena, "x", SIZE_MAX));
        assert_non_null(arena_alloc(&arena, 16));
        arena_deinit(&arena);
}

static void test_text(void **state) {
        struct arena arena = { 0 };
        char *a = arena_text(&arena, "hello world", 5), *b = arena_text(&arena, "", 0);

        assert_string_equal(a, "hello");
        assert_string_equal(b, "");
        a[0] = 'j';
        assert_string_equal(b, "");
        arena_deinit(&arena);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_sizes), cmocka_unit_test(test_too_much), cmocka_unit_test(test_text) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
