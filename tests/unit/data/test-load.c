/* SPDX-License-Identifier: Apache-2.0
 *
 * Which instance takes the next request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc/load.h"

static void test_fewer_in_flight(void **state) {
        struct load a = { .in_flight = 1, .weight = 100, .served = 900 }, b = { .in_flight = 2, .weight = 100, .served = 0 };

        assert_true(load_prefers(&a, &b));
        assert_false(load_prefers(&b, &a));
}

static void test_weight_counts(void **state) {
        struct load a = { .in_flight = 3, .weight = 100 }, b = { .in_flight = 2, .weight = 50 };

        assert_true(load_prefers(&a, &b));
        assert_false(load_prefers(&b, &a));
}

/* One request at a time: both are idle at each choice, and still each gets its share. */
static void test_shares_without_concurrency(void **state) {
        struct load a = { .weight = 90 }, b = { .weight = 10 };

        for (int i = 0; i < 1000; i++) {
                struct load *chosen = load_prefers(&b, &a) ? &b : &a;

                chosen->served++;
        }
        assert_in_range(a.served, 899, 901);
        assert_in_range(b.served, 99, 101);
}

static void test_equals_prefer_neither(void **state) {
        struct load a = { .in_flight = 1, .weight = 10, .served = 5 }, b = a;

        assert_false(load_prefers(&a, &b));
        assert_false(load_prefers(&b, &a));
}

static void test_the_least_loaded_of_all(void **state) {
        struct load l[3] = { { .in_flight = 2, .weight = 100 }, { .in_flight = 1, .weight = 100 }, { .in_flight = 3, .weight = 100 } };
        struct load_choice choice = { 0 };

        assert_null(load_choose(&choice));
        for (int i = 0; i < 3; i++)
                load_consider(&choice, &l[i], &l[i], false);
        assert_ptr_equal(load_choose(&choice), &l[1]);
}

static struct load *chosen(uint32_t far, uint32_t near, uint32_t weight_near) {
        static struct load l[2];
        struct load_choice choice = { 0 };

        l[0] = (struct load){ .in_flight = far, .weight = 100, .served = 0 };
        l[1] = (struct load){ .in_flight = near, .weight = weight_near, .served = 1000 };
        load_consider(&choice, &l[0], &l[0], false);
        load_consider(&choice, &l[1], &l[1], true);
        return load_choose(&choice) == &l[1] ? &l[1] : NULL;
}

static void test_of_equals_the_near_one(void **state) {
        assert_non_null(chosen(0, 0, 100));
        assert_non_null(chosen(1, 1, 100));
        assert_non_null(chosen(1, 0, 100));
        /* nobody is made to wait behind another one for it */
        assert_null(chosen(0, 1, 100));
        assert_null(chosen(7, 8, 100));
        /* of many, a few more are about the same */
        assert_non_null(chosen(8, 9, 100));
        assert_null(chosen(8, 10, 100));
        assert_non_null(chosen(64, 72, 100));
        assert_null(chosen(64, 73, 100));
        /* by weight */
        assert_non_null(chosen(2, 1, 50));
        assert_null(chosen(2, 2, 50));
}

static void test_of_the_near_the_least_loaded(void **state) {
        struct load l[3] = { { .in_flight = 4, .weight = 100 },
                             { .in_flight = 4, .weight = 100, .served = 2 },
                             { .in_flight = 4, .weight = 100, .served = 1 } };
        struct load_choice choice = { 0 };

        for (int i = 0; i < 3; i++)
                load_consider(&choice, &l[i], &l[i], i > 0);
        assert_ptr_equal(load_choose(&choice), &l[2]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fewer_in_flight),
                cmocka_unit_test(test_weight_counts),
                cmocka_unit_test(test_shares_without_concurrency),
                cmocka_unit_test(test_equals_prefer_neither),
                cmocka_unit_test(test_the_least_loaded_of_all),
                cmocka_unit_test(test_of_equals_the_near_one),
                cmocka_unit_test(test_of_the_near_the_least_loaded),
        };

        return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
