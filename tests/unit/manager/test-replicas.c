/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting instances, and who has to go: a version without processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "supervisor/manager/replicas.h"

#define N 5

static struct manager m = { .base_link = -1 };
static struct module module = { .manager = &m, .name = "a" };
static struct candidate c;
static struct instance instances[N];

/* Instances 1 to n, being forked: to retire one of them touches nobody. */
static void begin(uint64_t min, unsigned n) {
        c = (struct candidate){ .module = &module, .manifest.scale_min = min };
        TAILQ_INIT(&c.instances);
        for (unsigned i = 0; i < n; i++) {
                instances[i] = (struct instance){ .candidate = &c, .id = i + 1, .state = INSTANCE_FORKING };
                TAILQ_INSERT_TAIL(&c.instances, &instances[i], entry);
        }
}

static void test_as_many_as_the_manifest_says(void **state) {
        begin(3, 2);
        assert_int_equal(replicas_wanted(&c), 3);
        assert_int_equal(replicas_staying(&c), 2);
        begin(0, 0);
        assert_int_equal(replicas_wanted(&c), 1);
        assert_int_equal(replicas_staying(&c), 0);
}

static void test_who_counts(void **state) {
        begin(2, 5);
        instances[0].state = instances[1].state = instances[2].state = INSTANCE_READY;
        instances[1].unhealthy = true;
        instances[3].state = INSTANCE_KILLED;
        instances[4].retire = true;
        assert_int_equal(replicas_staying(&c), 2);
        assert_int_equal(replicas_ready(&c), 2);
        assert_true(replicas_complete(&c));
        instances[2].retire = true;
        assert_int_equal(replicas_ready(&c), 1);
        assert_false(replicas_complete(&c));
        assert_true(replicas_serve(&c));
        instances[0].retire = true;
        assert_int_equal(replicas_ready(&c), 0);
        assert_true(replicas_serve(&c)); /* the unhealthy one */
        instances[1].retire = true;
        assert_false(replicas_serve(&c));
}

static void test_who_does_not_serve_yet_goes_first_then_the_oldest(void **state) {
        begin(2, 5);
        instances[0].state = INSTANCE_READY;
        replicas_retire_surplus(&c);
        assert_false(instances[0].retire);
        assert_true(instances[1].retire && instances[2].retire && instances[3].retire);
        assert_false(instances[4].retire);
        replicas_retire_surplus(&c);
        assert_int_equal(replicas_staying(&c), 2);
}

static void test_the_unhealthy_stay_as_long_as_they_are_needed(void **state) {
        begin(2, 3);
        for (int i = 0; i < 3; i++)
                instances[i].state = INSTANCE_READY;
        instances[0].unhealthy = instances[1].unhealthy = true;
        instances[2].state = INSTANCE_FORKING;
        assert_false(replicas_retire_unhealthy(&c, false));
        assert_false(instances[0].retire || instances[1].retire);
}

/* A former manager was about to end it. Of a version that is not whole it may still be needed. */
static void test_nobody_rests_where_all_serve(void **state) {
        begin(2, 3);
        instances[2].state = INSTANCE_DRAINING;
        instances[2].retire = instances[2].rests = instances[1].retire = true;
        replicas_retire_surplus(&c);
        assert_ptr_equal(replicas_resting(&c), &instances[2]);
        instances[1].retire = false;
        replicas_retire_surplus(&c);
        assert_null(replicas_resting(&c));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_many_as_the_manifest_says),
                cmocka_unit_test(test_who_counts),
                cmocka_unit_test(test_who_does_not_serve_yet_goes_first_then_the_oldest),
                cmocka_unit_test(test_nobody_rests_where_all_serve),
                cmocka_unit_test(test_the_unhealthy_stay_as_long_as_they_are_needed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
