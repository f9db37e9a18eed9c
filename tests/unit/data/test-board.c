/* SPDX-License-Identifier: Apache-2.0
 *
 * The board: built, mapped, narrowed, asked; and forged indexes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/board.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

static void close_all(int *fds, int n) {
        for (int i = 0; i < n; i++)
                fd_close(fds[i]);
}

/* Two segments, three keys. */
static int build(int fds[BOARD_SEGMENTS_MAX + 1]) {
        struct board_builder *b;
        int n;

        assert_int_equal(board_builder_new(&b, 9), 0);
        assert_int_equal(board_builder_segment(b, "shop"), 0);
        assert_int_equal(board_builder_add(b, "shop.name",
                                           "\xa5"
                                           "Socle",
                                           6),
                         0);
        assert_int_equal(board_builder_add(b, "shop.open", "\xc3", 1), 0);
        assert_int_equal(board_builder_segment(b, "prices"), 0);
        assert_int_equal(board_builder_add(b, "prices.tea", "\xcc\x80", 2), 0);
        n = board_builder_finish(b, fds);
        assert_int_equal(n, 3);
        board_builder_free(b);
        return n;
}

static void test_get(void **state) {
        int fds[BOARD_SEGMENTS_MAX + 1], n = build(fds);
        struct board *board;
        struct value v;
        const char *text;
        size_t size;
        int64_t i;

        assert_int_equal(board_open(&board, fds, n), 0);
        close_all(fds, n); /* not needed any more */
        assert_int_equal(board_generation(board), 9);
        assert_int_equal(board_get(board, "shop.name", &v), 0);
        assert_int_equal(value_get_str(&v, &text, &size), 0);
        assert_int_equal(size, 5);
        assert_memory_equal(text, "Socle", 5);
        assert_int_equal(board_get(board, "prices.tea", &v), 0);
        assert_int_equal(value_get_int(&v, &i), 0);
        assert_int_equal(i, 128);
        assert_int_equal(board_get(board, "shop", &v), -ENOENT);
        assert_int_equal(board_get(board, "", &v), -ENOENT);
        assert_int_equal(board_get(board, "shop.names", &v), -ENOENT);
        assert_null(board_close(board));
        assert_null(board_close(NULL));
}

static void test_narrow(void **state) {
        static const char *const prices[] = { "prices" }, *const all[] = { "*" }, *const parts[] = { "price", "shop.", "" };
        int fds[BOARD_SEGMENTS_MAX + 1], n = build(fds);
        struct board *board;
        struct value v;

        assert_int_equal(board_open(&board, fds, n), 0);
        board_narrow(board, all, 1);
        assert_int_equal(board_get(board, "shop.name", &v), 0);
        board_narrow(board, prices, 1);
        assert_int_equal(board_get(board, "shop.name", &v), -EACCES);
        assert_int_equal(board_get(board, "prices.tea", &v), 0);
        board_narrow(board, all, 1); /* never back */
        assert_int_equal(board_get(board, "shop.open", &v), -EACCES);
        board_narrow(board, parts, 3);
        assert_int_equal(board_get(board, "prices.tea", &v), -EACCES);
        assert_int_equal(board_get(board, "none", &v), -ENOENT);
        board_close(board);
        close_all(fds, n);
}

static void test_many_keys(void **state) {
        int fds[BOARD_SEGMENTS_MAX + 1], n;
        struct board_builder *b;
        struct board *board;
        char key[32];

        assert_int_equal(board_builder_new(&b, 1), 0);
        for (uint32_t i = 0; i < 3000; i++) {
                uint8_t item[5] = { 0xce, 0, 0, (uint8_t)(i >> 8), (uint8_t)i };

                if (i % 50 == 0) {
                        snprintf(key, sizeof(key), "file%u", i / 50);
                        assert_int_equal(board_builder_segment(b, key), 0);
                }
                snprintf(key, sizeof(key), "key-%u", i);
                assert_int_equal(board_builder_add(b, key, item, sizeof(item)), 0);
        }
        n = board_builder_finish(b, fds);
        assert_int_equal(n, 61);
        assert_int_equal(board_open(&board, fds, n), 0);
        for (uint32_t i = 0; i < 3000; i++) {
                struct value v;
                int64_t got;

                snprintf(key, sizeof(key), "key-%u", i);
                assert_int_equal(board_get(board, key, &v), 0);
                assert_int_equal(value_get_int(&v, &got), 0);
                assert_int_equal(got, i);
        }
        board_close(board);
        board_builder_free(b);
        close_all(fds, n);
}

static void test_builder_refuses(void **state) {
        struct board_builder *b;
        char key[BOARD_KEY_MAX + 1], name[65];

        memset(key, 'k', BOARD_KEY_MAX);
        key[BOARD_KEY_MAX] = '\0';
        memset(name, 'n', 64);
        name[64] = '\0';
        assert_int_equal(board_builder_new(&b, 1), 0);
        assert_int_equal(board_builder_segment(b, ""), -EINVAL);
        assert_int_equal(board_builder_segment(b, name), -EINVAL);
        assert_int_equal(board_builder_segment(b, "a"), 0);
        assert_int_equal(board_builder_add(b, "k", "\xc0", 1), 0);
        assert_int_equal(board_builder_add(b, "k", "\xc0", 1), -EEXIST);
        assert_int_equal(board_builder_add(b, "", "\xc0", 1), -EINVAL);
        assert_int_equal(board_builder_add(b, key, "\xc0", 1), -EINVAL);
        assert_int_equal(board_builder_add(b, "a b", "\xc0", 1), -EINVAL);
        assert_int_equal(board_builder_add(b, "a\n", "\xc0", 1), -EINVAL);
        assert_int_equal(board_builder_add(b, "x", "\xc1", 1), -EINVAL);
        assert_int_equal(board_builder_add(b, "x", "\xc0\xc0", 2), -EINVAL);
        assert_int_equal(board_builder_add(b, "x", "", 0), -EINVAL);
        key[BOARD_KEY_MAX - 1] = '\0';
        assert_int_equal(board_builder_add(b, key, "\xc0", 1), 0);
        for (int i = 1; i < BOARD_SEGMENTS_MAX; i++)
                assert_int_equal(board_builder_segment(b, "more"), 0);
        assert_int_equal(board_builder_segment(b, "more"), -ENOSPC);
        board_builder_free(b);
        assert_null(board_builder_free(NULL));
}

static void test_empty(void **state) {
        int fds[BOARD_SEGMENTS_MAX + 1], n;
        struct board_builder *b;
        struct board *board;
        struct value v;

        assert_int_equal(board_builder_new(&b, 3), 0);
        n = board_builder_finish(b, fds);
        assert_int_equal(n, 1);
        assert_int_equal(board_open(&board, fds, n), 0);
        assert_int_equal(board_get(board, "x", &v), -ENOENT);
        board_close(board);
        board_builder_free(b);
        close_all(fds, n);
}

static void break_magic(struct board_index *x) {
        x->magic++;
}
static void break_version(struct board_index *x) {
        x->version++;
}
static void break_segments(struct board_index *x) {
        x->n_segments++;
}
static void break_slots(struct board_index *x) {
        x->n_slots--;
}
static void break_no_slots(struct board_index *x) {
        x->n_slots = 0;
}
static void break_many_slots(struct board_index *x) {
        x->n_slots = 1u << 31;
}
static void break_keys(struct board_index *x) {
        x->n_keys++;
}
static void break_entries_offset(struct board_index *x) {
        x->entries_offset = UINT64_MAX - 7;
}
static void break_entries_alignment(struct board_index *x) {
        x->entries_offset++;
}
static void break_name(struct board_index *x) {
        memset(x->segments[0].name, 'x', sizeof(x->segments[0].name));
}

static struct board_entry *used_entry(struct board_index *x) {
        struct board_entry *e = (struct board_entry *)((uint8_t *)x + x->entries_offset);

        while (!e->key_size)
                e++;
        return e;
}

static void break_entry_segment(struct board_index *x) {
        used_entry(x)->segment = 3;
}
static void break_entry_index_segment(struct board_index *x) {
        used_entry(x)->segment = 0;
}
static void break_entry_offset(struct board_index *x) {
        used_entry(x)->offset = UINT64_MAX;
}
static void break_entry_size(struct board_index *x) {
        used_entry(x)->size = UINT64_MAX;
}
static void break_entry_item(struct board_index *x) {
        used_entry(x)->size--;
}
static void break_entry_key(struct board_index *x) {
        used_entry(x)->key_offset = UINT32_MAX;
}
static void break_entry_key_size(struct board_index *x) {
        used_entry(x)->key_size = BOARD_KEY_MAX;
}
/* A table without a free slot would be searched for ever. */
static void break_full(struct board_index *x) {
        struct board_entry *e = (struct board_entry *)((uint8_t *)x + x->entries_offset), one = *used_entry(x);

        for (uint32_t i = 0; i < x->n_slots; i++)
                e[i] = one;
}

static void test_forged(void **state) {
        static void (*const breakers[])(struct board_index *) = {
                break_magic,        break_version,        break_segments,
                break_slots,        break_no_slots,       break_many_slots,
                break_keys,         break_entries_offset, break_entries_alignment,
                break_name,         break_entry_segment,  break_entry_index_segment,
                break_entry_offset, break_entry_size,     break_entry_item,
                break_entry_key,    break_entry_key_size, break_full,
        };
        int fds[BOARD_SEGMENTS_MAX + 1], n = build(fds);
        struct board *board;
        uint64_t size;

        assert_int_equal(memfd_check(fds[0], MEMFD_SEALS_CONST, 1, 1 << 20, &size), 0);
        for (size_t i = 0; i < N_ELEMENTS(breakers); i++) {
                _cleanup_free_ struct board_index *index = malloc(size);
                int forged[3];

                assert_int_equal(fd_pread_all(fds[0], index, size, 0), 0);
                breakers[i](index);
                forged[0] = memfd_new_const("liar", index, size);
                forged[1] = fds[1];
                forged[2] = fds[2];
                assert_int_equal(board_open(&board, forged, 3), -EPROTO);
                fd_close(forged[0]);
        }
        close_all(fds, n);
}

static void test_bad_descriptors(void **state) {
        int fds[BOARD_SEGMENTS_MAX + 1], n = build(fds), unsealed = memfd_new("liar", 4096), small, empty;
        struct board *board;

        small = memfd_new_const("liar", "x", 1);
        empty = memfd_new_const("liar", "", 0);
        assert_int_equal(board_open(&board, fds, 0), -EPROTO);
        assert_int_equal(board_open(&board, fds, n - 1), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ unsealed }, 1), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ small }, 1), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ empty }, 1), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ -1 }, 1), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ fds[0], unsealed, fds[2] }, 3), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ fds[0], small, fds[2] }, 3), -EPROTO);
        assert_int_equal(board_open(&board, (int[]){ fds[0], empty, fds[2] }, 3), -EPROTO);
        close_all(fds, n);
        close_all((int[]){ unsealed, small, empty }, 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_get),
                cmocka_unit_test(test_narrow),
                cmocka_unit_test(test_many_keys),
                cmocka_unit_test(test_builder_refuses),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_forged),
                cmocka_unit_test(test_bad_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
