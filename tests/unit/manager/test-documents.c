/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin API's documents and the log, with what strangers put into them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-health.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/lifecycle.h"

#define BAD "caf\xe9 \xff"

static struct manager m;

static int setup(void **state) {
        m = (struct manager){ .installer_link = -1 };
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.modules);
        operation_list_init(&m.operations);
        base_config_init(&m.config);
        return 0;
}

static const char *text_of(const json_t *j, const char *key) {
        return json_string_value(json_object_get(j, key));
}

/* A worker could make itself vanish from `status` by the words with which it failed. */
static void test_no_text_takes_a_module_out_of_the_status(void **state) {
        struct drop_file file = { .manager = &m, .name = BAD ".smod", .fault = FAULT_BAD_NAME, .reason = BAD };
        struct manifest manifest;
        struct candidate *c;
        json_t *status, *module, *version, *refused;

        manifest_init(&manifest);
        manifest.version = strdup("1.0.0");
        c = candidate_new(module_get(&m, "a"), &manifest, "", -1);
        candidate_on(c, CANDIDATE_ON_fail, FAULT_START_FAILED, BAD);
        TAILQ_INSERT_TAIL(&m.files, &file, entry);
        status = json_status(&m);
        assert_non_null(status);
        module = json_array_get(json_object_get(status, "modules"), 0);
        assert_string_equal(text_of(module, "name"), "a");
        assert_string_equal(text_of(module, "reason"), "caf? ?");
        version = json_array_get(json_object_get(module, "versions"), 0);
        assert_string_equal(text_of(version, "reason"), "caf? ?");
        assert_true(json_is_null(json_object_get(version, "file")));
        refused = json_array_get(json_object_get(status, "rejected"), 0);
        assert_string_equal(text_of(refused, "file"), "caf? ?.smod");
        json_decref(status);
        status = history_json(c->module->history);
        assert_int_equal(json_array_size(json_object_get(status, "history")), 1);
        json_decref(status);
        TAILQ_REMOVE(&m.files, &file, entry);
}

static void test_problems_and_operations(void **state) {
        struct operation *op = operation_new(&m.operations, OPERATION_DEPLOY, "a", BAD);
        json_t *j;

        operation_fail(op, FAULT_BAD_NAME, BAD);
        j = json_operation(op);
        assert_string_equal(text_of(j, "detail"), "caf? ?");
        assert_string_equal(text_of(j, "file"), "caf? ?");
        assert_string_equal(text_of(j, "class"), "PACKAGE");
        assert_string_equal(text_of(j, "fault"), "OPERATOR");
        json_decref(j);
        j = json_problem(FAULT_NOT_FOUND, BAD, NULL);
        assert_string_equal(text_of(j, "detail"), "caf? ?");
        json_decref(j);
        j = json_problem(FAULT_NOT_FOUND, "caf\xc3\xa9", NULL);
        assert_string_equal(text_of(j, "detail"), "caf\xc3\xa9");
        assert_string_equal(text_of(j, "title"), "Not Found");
        assert_string_equal(text_of(j, "code"), "NOT_FOUND");
        assert_string_equal(text_of(j, "class"), "REQUEST");
        assert_string_equal(text_of(j, "fault"), "CALLER");
        assert_string_equal(text_of(j, "hint"), fault_info(FAULT_NOT_FOUND)->hint);
        json_decref(j);
        j = json_problem(FAULT_NOT_FOUND, "", "a better one");
        assert_string_equal(text_of(j, "hint"), "a better one");
        json_decref(j);
}

/* Why, in the same document: a probe has no second question. */
static void test_what_is_not_healthy_says_why(void **state) {
        struct manifest manifest;
        struct candidate *c;
        const json_t *one;
        bool healthy;
        json_t *j;

        m.ready_sent = true;
        j = json_health(&m, "sick", 0, &healthy);
        assert_true(healthy && json_is_true(json_object_get(j, "healthy")));
        json_decref(j);
        manifest_init(&manifest);
        manifest.version = strdup("1.0.0");
        c = candidate_new(module_get(&m, "sick"), &manifest, "", -1);
        candidate_on(c, CANDIDATE_ON_fail, FAULT_CRASHED, "killed by SIGSEGV");
        j = json_health(&m, "sick", 0, &healthy);
        assert_false(healthy || json_is_true(json_object_get(j, "healthy")));
        one = json_array_get(json_object_get(j, "unhealthy"), 0);
        assert_string_equal(text_of(one, "module"), "sick");
        assert_string_equal(text_of(one, "version"), "1.0.0");
        assert_string_equal(text_of(one, "code"), "CRASHED");
        assert_string_equal(text_of(one, "class"), "MODULE");
        assert_non_null(strstr(text_of(one, "hint"), "soclectl history sick"));
        assert_string_equal(text_of(one, "reason"), "killed by SIGSEGV");
        json_decref(j);
        j = json_health(&m, "another", 0, &healthy);
        assert_true(healthy);
        json_decref(j);
}

static const json_t *last_step(const json_t *operation) {
        const json_t *journey = json_object_get(operation, "journey");

        return json_array_get(journey, json_array_size(journey) - 1);
}

/* The failing step has the time when it was given up, and no step is told to be before another. */
static void test_a_journey_that_ends_early(void **state) {
        struct operation *op = operation_new(&m.operations, OPERATION_DEPLOY, "a", "a-1.0.0.smod");
        json_t *j;

        operation_stamp(op, STEP_noticed, 1000);
        operation_stamp(op, STEP_verified, 3000);
        operation_stamp(op, STEP_unpacked, 2000);
        operation_fail(op, FAULT_FORK_FAILED, "why");
        op->failed_ns = 5000;
        j = json_operation(op);
        assert_string_equal(text_of(last_step(j), "step"), "forked");
        assert_true(json_is_false(json_object_get(last_step(j), "ok")));
        assert_int_equal(json_integer_value(json_object_get(last_step(j), "ns")), 4000);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(j, "journey"), 2), "ns")), 2000);
        json_decref(j);
}

static void test_a_line_stays_one_line(void **state) {
        int saved = dup(STDERR_FILENO), ends[2];
        char got[128] = "";

        assert_int_equal(fd_pipe(ends), 0);
        dup2(ends[1], STDERR_FILENO);
        log_error("%s", "a\nsocled: all is well\x1b[2J\tb");
        dup2(saved, STDERR_FILENO);
        assert_true(read(ends[0], got, sizeof(got) - 1) > 0);
        assert_string_equal(got, "socle: a?socled: all is well?[2J\tb\n");
        close(saved);
        close(ends[0]);
        close(ends[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_text_takes_a_module_out_of_the_status),
                cmocka_unit_test(test_problems_and_operations),
                cmocka_unit_test(test_what_is_not_healthy_says_why),
                cmocka_unit_test(test_a_journey_that_ends_early),
                cmocka_unit_test(test_a_line_stays_one_line),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
