/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of a core.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/placement.h"

static void test_the_one_with_fewest(void **state) {
        static const struct {
                uint32_t placed[6], n;
                int expected;
        } cases[] = {
                { { 0 }, 0, 2 },
                { { 3 }, 1, 5 },          /* CPU 2 has one */
                { { 3, 6 }, 2, 2 },       /* both have one: the lowest */
                { { 6, 6, 3 }, 3, 2 },    /* 5 has two */
                { { 0, 0 }, 2, 2 },       /* of those that are anywhere nothing is known */
                { { 1, 4, 9999 }, 3, 2 }, /* nor of what is not ours, or no CPU at all */
                { { 3, 3, 6, 0, 6, 6 }, 6, 2 },
        };
        cpu_set_t mine;

        CPU_ZERO(&mine);
        CPU_SET(2, &mine);
        CPU_SET(5, &mine);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(placement_least(&mine, cases[i].placed, cases[i].n), cases[i].expected);
}

static void test_no_cpu_at_all(void **state) {
        cpu_set_t none;

        CPU_ZERO(&none);
        assert_int_equal(placement_least(&none, NULL, 0), -1);
}

static void test_where_one_is(void **state) {
        cpu_set_t before, one;
        int cpu = 0;

        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        while (!CPU_ISSET(cpu, &before))
                cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        assert_int_equal(placement_of(0), cpu + 1);
        assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
        if (CPU_COUNT(&before) > 1)
                assert_int_equal(placement_of(0), 0);
        assert_int_equal(placement_of(-1), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_one_with_fewest),
                cmocka_unit_test(test_no_cpu_at_all),
                cmocka_unit_test(test_where_one_is),
        };

        return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
