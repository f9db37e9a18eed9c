/* SPDX-License-Identifier: Apache-2.0
 *
 * The crash policy: at once, then doubling with jitter, then quarantine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/manager/restart.h"

static const struct restart_policy policy = { .burst = 10, .period_ms = 60000, .backoff_ms = 100, .backoff_max_ms = 10000 };

static void test_the_first_restart_is_at_once(void **state) {
        assert_int_equal(restart_delay_ms(&policy, 1, 0), 0);
        assert_int_equal(restart_delay_ms(&policy, 1, UINT32_MAX), 0);
}

static void test_the_delay_doubles_up_to_its_maximum(void **state) {
        const uint64_t expected[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };

        for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
                assert_int_equal(restart_delay_ms(&policy, i + 2, 0), expected[i]);
        assert_int_equal(restart_delay_ms(&policy, UINT64_MAX, 0), 10000);
}

static void test_jitter_takes_away_at_most_a_quarter(void **state) {
        for (uint32_t r = 0; r < 0x10000; r += 257) {
                uint64_t d = restart_delay_ms(&policy, 5, r);

                assert_in_range(d, 600, 800);
        }
        assert_int_equal(restart_delay_ms(&policy, 5, 0xffff), 600);
}

static void test_no_backoff_is_no_delay(void **state) {
        const struct restart_policy none = { .burst = 3 };

        assert_int_equal(restart_delay_ms(&none, 3, 123), 0);
}

static void test_quarantine_begins_behind_the_burst(void **state) {
        assert_false(restart_exceeds(&policy, 10));
        assert_true(restart_exceeds(&policy, 11));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_first_restart_is_at_once),        cmocka_unit_test(test_the_delay_doubles_up_to_its_maximum),
                cmocka_unit_test(test_jitter_takes_away_at_most_a_quarter), cmocka_unit_test(test_no_backoff_is_no_delay),
                cmocka_unit_test(test_quarantine_begins_behind_the_burst),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
