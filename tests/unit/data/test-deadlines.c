/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines, with times that are only numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "ipc/cleanup.h"
#include "ipc/deadlines.h"

#define N 500

struct item {
        struct deadline deadline; /* first */
        uint64_t expected;        /* UINT64_MAX: not set */
        unsigned n_due;
};

static uint64_t now, last_due;

static void on_due(struct deadline *deadline) {
        struct item *item = (struct item *)deadline;

        assert_true(item->expected <= now);
        assert_int_equal(deadline->when_ns, UINT64_MAX);
        item->n_due++;
        last_due = item->expected;
        item->expected = UINT64_MAX;
}

static void test_they_come_due_in_their_order_and_once(void **state) {
        struct deadlines d = { 0 };
        struct item a, b;

        deadline_init(&d, &a.deadline, on_due);
        deadline_init(&d, &b.deadline, on_due);
        a.n_due = b.n_due = 0;
        deadline_set(&d, &a.deadline, a.expected = 20);
        deadline_set(&d, &b.deadline, b.expected = 10);
        assert_int_equal(deadlines_next(&d), 10);
        now = 9;
        deadlines_run(&d, now);
        assert_int_equal(a.n_due + b.n_due, 0);
        now = 10;
        deadlines_run(&d, now);
        assert_int_equal(b.n_due, 1);
        assert_int_equal(a.n_due, 0);
        now = 100;
        deadlines_run(&d, now);
        deadlines_run(&d, now);
        assert_int_equal(a.n_due, 1);
        assert_int_equal(b.n_due, 1);
        deadline_deinit(&d, &a.deadline);
        deadline_deinit(&d, &b.deadline);
        deadlines_deinit(&d);
}

/* An idle gateway must never wake. */
static void test_nothing_set_means_never(void **state) {
        struct deadlines d = { 0 };
        struct item a;

        assert_int_equal(deadlines_next(&d), UINT64_MAX);
        deadline_init(&d, &a.deadline, on_due);
        assert_int_equal(deadlines_next(&d), UINT64_MAX);
        deadline_set(&d, &a.deadline, 10);
        deadline_set(&d, &a.deadline, 50);
        deadline_clear(&d, &a.deadline);
        assert_int_equal(deadlines_next(&d), UINT64_MAX);
        deadline_deinit(&d, &a.deadline);
        deadlines_deinit(&d);
}

static void test_moving(void **state) {
        struct deadlines d = { 0 };
        struct item a;

        a.n_due = 0;
        deadline_init(&d, &a.deadline, on_due);
        deadline_set(&d, &a.deadline, 10);
        deadline_set(&d, &a.deadline, a.expected = 30);
        now = 20;
        deadlines_run(&d, now);
        assert_int_equal(a.n_due, 0);
        assert_int_equal(deadlines_next(&d), 30);
        deadline_set(&d, &a.deadline, a.expected = 25);
        assert_int_equal(deadlines_next(&d), 25);
        now = 25;
        deadlines_run(&d, now);
        assert_int_equal(a.n_due, 1);
        deadline_deinit(&d, &a.deadline);
        deadlines_deinit(&d);
}

/* Against a plain list: random sets, moves, clears and time. */
static void test_many(void **state) {
        static struct item items[N];
        struct deadlines d = { 0 };
        unsigned seed = 1;

        now = 0;
        for (size_t i = 0; i < N; i++) {
                assert_int_equal(deadline_init(&d, &items[i].deadline, on_due), 0);
                items[i].expected = UINT64_MAX;
        }
        for (int round = 0; round < 200000; round++) {
                struct item *item = &items[rand_r(&seed) % N];
                unsigned what = (unsigned)rand_r(&seed) % 10;

                if (what < 6)
                        deadline_set(&d, &item->deadline, item->expected = now + 1 + (unsigned)rand_r(&seed) % 1000);
                else if (what < 8)
                        deadline_clear(&d, &item->deadline), item->expected = UINT64_MAX;
                else
                        deadlines_run(&d, now += (unsigned)rand_r(&seed) % 20);
                if (round % 1000)
                        continue;
                deadlines_run(&d, now);
                for (size_t i = 0; i < N; i++)
                        assert_true(items[i].expected > now);
        }
        for (size_t i = 0; i < N; i++)
                deadline_deinit(&d, &items[i].deadline);
        assert_int_equal(deadlines_next(&d), UINT64_MAX);
        assert_int_equal(d.n_owners, 0);
        deadlines_deinit(&d);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_they_come_due_in_their_order_and_once),
                cmocka_unit_test(test_nothing_set_means_never),
                cmocka_unit_test(test_moving),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests_name("deadlines", tests, NULL, NULL);
}
