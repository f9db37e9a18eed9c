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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fewer_in_flight),
                cmocka_unit_test(test_weight_counts),
                cmocka_unit_test(test_shares_without_concurrency),
                cmocka_unit_test(test_equals_prefer_neither),
        };

        return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
