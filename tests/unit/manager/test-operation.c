/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations: journeys, ends, and how many are kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/clock.h"
#include "supervisor/manager/operation.h"

static void on_end(struct operation *op, void *userdata) {
        ++*(int *)userdata;
}

static void test_the_failing_step_is_the_first_without_a_stamp(void **state) {
        struct operation_list list;
        struct operation *op;
        int ended = 0;

        operation_list_init(&list);
        op = operation_new(&list, OPERATION_DEPLOY, "hello", "hello-1.0.0.smod");
        assert_non_null(op);
        op->on_end = on_end;
        op->userdata = &ended;
        operation_stamp(op, STEP_noticed, 10);
        operation_stamp(op, STEP_verified, 20);
        operation_fail(op, FAULT_BAD_PACKAGE, "why");
        assert_int_equal(op->failed_step, STEP_unpacked);
        assert_int_equal(op->state, OPERATION_FAILED);
        assert_string_equal(op->detail, "why");
        assert_true(op->failed_ns > 20);
        assert_true(op->hint[0] != '\0');
        assert_int_equal(ended, 1);
        /* an end is an end */
        operation_done(op);
        operation_fail(op, FAULT_BAD_NAME, "other");
        operation_stamp(op, STEP_unpacked, 30);
        assert_int_equal(op->state, OPERATION_FAILED);
        assert_int_equal(op->fault, FAULT_BAD_PACKAGE);
        assert_int_equal(op->stamps[STEP_unpacked], 0);
        assert_int_equal(ended, 1);
        operation_list_deinit(&list);
}

static void test_a_hint_names_the_module(void **state) {
        struct operation_list list;
        struct operation *op;

        operation_list_init(&list);
        op = operation_new(&list, OPERATION_DEPLOY, "hello", "hello-1.0.0.smod");
        operation_fail(op, FAULT_START_FAILED, "why");
        assert_string_equal(op->hint, "see `soclectl logs hello`");
        op = operation_new(&list, OPERATION_DEPLOY, "hello", "hello-1.0.0.smod");
        operation_hint(op, "a better one");
        operation_fail(op, FAULT_START_FAILED, "why");
        assert_string_equal(op->hint, "a better one");
        operation_list_deinit(&list);
}

/* A worker stamps its own steps, and could say that they were done tomorrow. */
static void test_no_step_is_done_in_the_future(void **state) {
        struct operation_list list;
        struct operation *op;

        operation_list_init(&list);
        op = operation_new(&list, OPERATION_DEPLOY, "a", "a-1.0.0.smod");
        operation_stamp(op, STEP_loaded, UINT64_MAX);
        assert_true(op->stamps[STEP_loaded] <= clock_now_ns());
        operation_list_deinit(&list);
}

static void test_running_operations_are_never_dropped(void **state) {
        struct operation_list list;
        struct operation *first, *op = NULL;

        operation_list_init(&list);
        first = operation_new(&list, OPERATION_UNDEPLOY, "first", "");
        for (int i = 0; i < 3 * OPERATIONS_KEPT; i++) {
                op = operation_new(&list, OPERATION_DEPLOY, "x", "x-1.0.0.smod");
                operation_fail(op, FAULT_EXCLUDED, "");
        }
        assert_ptr_equal(operation_find(&list, first->id), first);
        assert_true(list.n <= OPERATIONS_KEPT + 1);
        assert_ptr_equal(operation_find(&list, op->id), op);
        assert_null(operation_find(&list, op->id + 1));
        operation_list_deinit(&list);
}

static void test_what_was_released_is_kept(void **state) {
        struct released released = { .exited.pid = 7, .n_edges = 3, .version = "1.0.0" };
        struct operation_list list;
        struct operation *op;

        operation_list_init(&list);
        op = operation_new(&list, OPERATION_UNDEPLOY, "x", "");
        operation_released(op, &released);
        released = (struct released){ .exited.pid = 8, .n_edges = 4, .version = "1.1.0", .fault = FAULT_STOP_TIMEOUT };
        operation_released(op, &released);
        operation_released(NULL, &released);
        assert_int_equal(op->n_released, 2);
        assert_int_equal(op->released[0].exited.pid, 7);
        assert_int_equal(op->released[1].n_edges, 4);
        assert_string_equal(op->released[1].version, "1.1.0");
        assert_int_equal(op->released[1].fault, FAULT_STOP_TIMEOUT);
        operation_list_deinit(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_failing_step_is_the_first_without_a_stamp),
                cmocka_unit_test(test_a_hint_names_the_module),
                cmocka_unit_test(test_no_step_is_done_in_the_future),
                cmocka_unit_test(test_running_operations_are_never_dropped),
                cmocka_unit_test(test_what_was_released_is_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
