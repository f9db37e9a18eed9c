/* SPDX-License-Identifier: Apache-2.0
 *
 * Events in memory: what is said of each, and how many are kept. Histories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/instance.h"

static char version[] = "1.0.0";

static const char *text(const json_t *j, const char *key) {
        return json_string_value(json_object_get(j, key));
}

static void test_what_is_not_known_is_left_out(void **state) {
        json_t *list, *e;

        events_note(&(struct event_note){ .kind = EVENT_crash, .module = "a", .instance = 7, .reason = "caf\xe9" });
        list = events_json(10);
        assert_int_equal(json_array_size(json_object_get(list, "events")), 1);
        e = json_array_get(json_object_get(list, "events"), 0);
        assert_string_equal(text(e, "event"), "crash");
        assert_string_equal(text(e, "module"), "a");
        assert_string_equal(text(e, "reason"), "caf?");
        assert_int_equal(json_integer_value(json_object_get(e, "instance")), 7);
        assert_null(json_object_get(e, "version"));
        assert_null(json_object_get(e, "operation"));
        assert_int_equal(json_object_size(e), 6);
        json_decref(list);
}

static void test_the_last_ones_are_kept(void **state) {
        json_t *list, *events;

        for (int i = 0; i < EVENTS_MAX + 5; i++)
                events_note(&(struct event_note){ .kind = EVENT_state, .module = "a" });
        list = events_json(100000);
        events = json_object_get(list, "events");
        assert_int_equal(json_array_size(events), EVENTS_MAX);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(events, EVENTS_MAX - 1), "id")) -
                                 json_integer_value(json_object_get(json_array_get(events, 0), "id")),
                         EVENTS_MAX - 1);
        json_decref(list);
        list = events_json(2);
        assert_int_equal(json_array_size(json_object_get(list, "events")), 2);
        json_decref(list);
}

static void test_a_death_for_want_of_memory_is_told_apart(void **state) {
        struct control_exited exited = { .instance = 3, .code = CLD_KILLED, .status = 9, .oom = EXITED_OOM_LIMIT };
        struct candidate c = { .manifest.version = version, .state = CANDIDATE_ACTIVE };
        struct history *h = history_get("eater");
        json_t *j, *end;
        char how[128];

        history_note_exit(h, &exited, NULL);
        history_add(h, &c, CANDIDATE_BROKEN, FAULT_CRASHED, "killed");
        history_leave(h);
        j = history_json(history_find_past("eater"));
        end = json_object_get(json_array_get(json_object_get(j, "history"), 0), "exit");
        assert_string_equal(text(end, "signal"), "SIGKILL");
        assert_string_equal(text(end, "oom"), "limit");
        json_decref(j);
        instance_exit_text(&exited, how, sizeof(how));
        assert_string_equal(how, "killed by SIGKILL (out of memory: it reached [limits] memory)");
        exited.oom = EXITED_OOM_NO;
        instance_exit_text(&exited, how, sizeof(how));
        assert_string_equal(how, "killed by SIGKILL");
}

static void test_a_history_outlives_its_module_and_ends_are_told_once(void **state) {
        struct candidate c = { .manifest.version = version, .state = CANDIDATE_ACTIVE };
        struct control_exited exited = { .instance = 3, .pid = 4711, .code = CLD_KILLED, .status = 11 };
        struct history *h = history_get("gone");
        json_t *j, *list, *end;

        history_note_exit(h, &exited, json_pack("[s]", "last words"));
        history_add(h, &c, CANDIDATE_BROKEN, FAULT_CRASHED, "killed");
        history_add(h, &c, CANDIDATE_STARTING, FAULT_NONE, "");
        history_leave(h);
        assert_ptr_equal(history_find_past("gone"), h);
        assert_null(history_find_past("other"));
        j = history_json(history_find_past("gone"));
        list = json_object_get(j, "history");
        assert_int_equal(json_array_size(list), 2);
        end = json_object_get(json_array_get(list, 0), "exit");
        assert_string_equal(text(end, "signal"), "SIGSEGV");
        assert_null(json_object_get(end, "status"));
        assert_null(json_object_get(end, "oom"));
        assert_string_equal(json_string_value(json_array_get(json_object_get(end, "output"), 0)), "last words");
        assert_null(json_object_get(json_array_get(list, 1), "exit"));
        json_decref(j);
        /* It comes back. */
        assert_ptr_equal(history_get("gone"), h);
        assert_null(history_find_past("gone"));
        history_leave(h);
}

static void test_histories_are_bounded(void **state) {
        struct candidate c = { .manifest.version = version };
        char name[16];
        json_t *j;

        for (int i = 0; i <= HISTORY_PAST_MAX; i++) {
                struct history *h;

                snprintf(name, sizeof(name), "m%d", i);
                h = history_get(name);
                for (int n = 0; n < HISTORY_MAX + 10; n++)
                        history_add(h, &c, CANDIDATE_ACTIVE, FAULT_NONE, "");
                history_leave(h);
        }
        assert_null(history_find_past("m0"));
        j = history_json(history_find_past("m1"));
        assert_int_equal(json_array_size(json_object_get(j, "history")), HISTORY_MAX);
        json_decref(j);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_not_known_is_left_out),
                cmocka_unit_test(test_the_last_ones_are_kept),
                cmocka_unit_test(test_a_death_for_want_of_memory_is_told_apart),
                cmocka_unit_test(test_a_history_outlives_its_module_and_ends_are_told_once),
                cmocka_unit_test(test_histories_are_bounded),
        };

        return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
