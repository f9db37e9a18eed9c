/* SPDX-License-Identifier: Apache-2.0
 *
 * Correlation ids: what is late or invented finds nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "ipc/call-table.h"

static void test_found_until_removed(void **state) {
        struct call_table t;
        uint64_t a, b;
        int x, y;

        call_table_init(&t);
        assert_int_equal(call_table_add(&t, &x, &a), 0);
        assert_int_equal(call_table_add(&t, &y, &b), 0);
        assert_int_not_equal(a, b);
        assert_ptr_equal(call_table_find(&t, a), &x);
        assert_ptr_equal(call_table_find(&t, b), &y);
        call_table_remove(&t, a);
        assert_null(call_table_find(&t, a));
        assert_ptr_equal(call_table_find(&t, b), &y);
        call_table_deinit(&t);
}

static void test_a_late_id_does_not_find_the_next_call_of_its_slot(void **state) {
        struct call_table t;
        uint64_t old, id = 0;
        int x;

        call_table_init(&t);
        for (int i = 0; i < 1000; i++) {
                old = id;
                assert_int_equal(call_table_add(&t, &x, &id), 0);
                assert_null(call_table_find(&t, old));
                assert_ptr_equal(call_table_find(&t, id), &x);
                call_table_remove(&t, id);
        }
        assert_int_equal(t.n, 64); /* the slots were used again, the ids were not */
        call_table_deinit(&t);
}

static void test_invented_ids(void **state) {
        static const uint64_t ids[] = { 0, 1, 63, 64, UINT64_MAX, 1ull << 20, (1ull << 20) + 63, CALL_TABLE_MAX - 1, 2ull << 20 };
        struct call_table t;
        uint64_t id;
        int x;

        call_table_init(&t);
        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
                assert_null(call_table_find(&t, ids[i]));
        assert_int_equal(call_table_add(&t, &x, &id), 0);
        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
                assert_true(ids[i] == id || !call_table_find(&t, ids[i]));
        call_table_deinit(&t);
}

static void test_it_grows_to_its_limit(void **state) {
        struct call_table t;
        uint64_t id, some = 0;
        int x;

        call_table_init(&t);
        for (uint32_t i = 0; i < CALL_TABLE_MAX; i++) {
                assert_int_equal(call_table_add(&t, &x, &id), 0);
                if (i == 1000)
                        some = id;
        }
        assert_int_equal(call_table_add(&t, &x, &id), -ENOBUFS);
        call_table_remove(&t, some);
        assert_int_equal(call_table_add(&t, &x, &id), 0);
        assert_null(call_table_find(&t, some));
        call_table_deinit(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_found_until_removed),
                cmocka_unit_test(test_a_late_id_does_not_find_the_next_call_of_its_slot),
                cmocka_unit_test(test_invented_ids),
                cmocka_unit_test(test_it_grows_to_its_limit),
        };

        return cmocka_run_group_tests_name("call-table", tests, NULL, NULL);
}
