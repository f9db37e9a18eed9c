/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read back of the manager's files: good lines, bad ones, torn ones, and
 * times of another boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/line-file.h"
#include "supervisor/manager/numbers.h"
#include "supervisor/manager/operation-store.h"
#include "supervisor/manager/standing.h"
#include "supervisor/manager/store.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "{\"file\":\"things\",\"form\":1}\n"

static json_t *parse(const char *text) {
        json_t *j = json_loads(text, 0, NULL);

        assert_non_null(j);
        return j;
}

/* Lines of a file ---------------------------------------------------------------------------------------------------- */

static bool take_n(const json_t *line, void *userdata) {
        const json_t *n = json_object_get(line, "n");

        if (n)
                *(json_int_t *)userdata = *(json_int_t *)userdata * 10 + json_integer_value(n);
        return n;
}

static void check_lines(const char *text, size_t size, int wanted, json_int_t taken, bool torn) {
        json_int_t sum = 0;
        bool is_torn = !torn;

        assert_int_equal(line_file_parse("things", text, size, take_n, &sum, &is_torn), wanted);
        assert_int_equal(sum, taken);
        assert_int_equal(is_torn, torn);
}
#define CHECK_LINES(text, wanted, taken, torn) check_lines(text, sizeof(text) - 1, wanted, taken, torn)

static void test_lines(void **state) {
        CHECK_LINES("", 0, 0, false);
        CHECK_LINES(HEAD, 0, 0, false);
        CHECK_LINES(HEAD "{\"n\":1}\n{\"n\":2}\n", 0, 12, false);
        /* a bad one costs itself */
        CHECK_LINES(HEAD "{\"n\":1}\nrubbish\n{\"n\":2}\n", 1, 12, false);
        CHECK_LINES(HEAD "{\"n\":1}\n\n[1]\n{\"m\":1}\n{\"n\":2}\n", 3, 12, false);
        CHECK_LINES(HEAD "{\"n\":1}\n\0\0\0\0\n{\"n\":2}\n", 1, 12, false);
        CHECK_LINES(HEAD "{\"n\":\"\xff\"}\n{\"n\":2}\n", 1, 2, false);
        /* torn: what is whole counts */
        CHECK_LINES(HEAD "{\"n\":1}\n{\"n\":", 1, 1, true);
        CHECK_LINES(HEAD "{\"n\":1}\n{\"n\":2}", 0, 12, true);
        CHECK_LINES(HEAD "{\"n\":1}\n\0\0\0\0\0", 1, 1, true);
}

static void test_another_file_or_form(void **state) {
        CHECK_LINES("{\"file\":\"others\",\"form\":1}\n{\"n\":1}\n", -EINVAL, 0, false);
        CHECK_LINES("{\"file\":\"things\",\"form\":2}\n{\"n\":1}\n", -EINVAL, 0, false);
        CHECK_LINES("{\"n\":1}\n", -EINVAL, 0, false);
        CHECK_LINES("\0\0\0\0", -EINVAL, 0, true);
        CHECK_LINES("{\"file\":\"thi", -EINVAL, 0, true);
}

static void test_appending_needs_a_file(void **state) {
        char folder[] = "/tmp/socle-append-XXXXXX";
        struct evbuffer *news = evbuffer_new();
        _cleanup_free_ char *text = NULL;
        size_t size;
        int fd;

        assert_non_null(mkdtemp(folder));
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        evbuffer_add(news, "two\n", 4);
        assert_int_equal(store_append(fd, "f", news, false), -ENOENT);
        assert_int_equal(store_write(fd, "f", "one\n", 4), 0);
        assert_int_equal(store_append(fd, "f", news, false), 0);
        evbuffer_add(news, "three\n", 6);
        assert_int_equal(store_append(fd, "f", news, true), 0);
        assert_int_equal(store_read(fd, "f", &text, &size), 0);
        assert_string_equal(text, "one\ntwo\nthree\n");
        evbuffer_free(news);
        assert_int_equal(unlinkat(fd, "f", 0), 0);
        close(fd);
        assert_int_equal(rmdir(folder), 0);
}

/* Standing ----------------------------------------------------------------------------------------------------------- */

static char version[] = "1.0.0";
static struct manager manager;
static struct module module = { .manager = &manager, .name = "a" };

static struct candidate candidate(void) {
        struct candidate c = { .module = &module, .sha256 = SHA, .choice = 7, .conf = UINT64_MAX };

        c.manifest.version = version;
        c.manifest.period_ms = 60000;
        c.manifest.probation_ms = 30000;
        c.manifest.backoff_max_ms = 10000;
        return c;
}

/* To a line and back. */
static bool line_of(const struct candidate *c, uint64_t wall_ms, uint64_t now_ns, struct standing *ret) {
        struct standing s;
        json_t *line;

        if (!standing_of(c, wall_ms, now_ns, &s))
                return false;
        line = standing_line(&s);
        assert_non_null(line);
        assert_true(standing_parse(line, ret));
        json_decref(line);
        return true;
}

static void test_nothing_to_be_said(void **state) {
        struct candidate c = candidate();
        struct standing s;

        assert_false(standing_of(&c, 1000000, 5 * NS_PER_S, &s));
        c.state = CANDIDATE_ACTIVE;
        c.n_crashes = 3; /* long ago */
        c.first_crash_ns = NS_PER_S;
        c.probation_ns = 2 * NS_PER_S;
        assert_false(standing_of(&c, 1000000, 100 * NS_PER_S, &s));
}

static void test_a_quarantine_comes_back(void **state) {
        struct candidate c = candidate(), d = candidate();
        struct standing s;

        c.state = CANDIDATE_QUARANTINED;
        c.fault = FAULT_QUARANTINED;
        strcpy(c.reason, "3 crashes, the last: \"\n\"");
        c.restarts = 2;
        assert_true(line_of(&c, 1000000, 5 * NS_PER_S, &s));
        assert_int_equal(s.state, CANDIDATE_QUARANTINED);
        assert_string_equal(s.reason, c.reason);
        assert_int_equal(s.fault, FAULT_QUARANTINED);
        assert_string_equal(s.name, "a");
        assert_true(s.choice == 7 && s.conf == UINT64_MAX);
        assert_int_equal(standing_apply(&s, &d, 1000001, 6 * NS_PER_S), 0);
        assert_int_equal(d.restarts, 2);
}

/* After a boot CLOCK_MONOTONIC is small, and what was may lie before its begin. */
static void test_times_of_another_boot(void **state) {
        struct candidate c = candidate(), d = candidate();
        uint64_t now = 1000 * NS_PER_S, booted = 2 * NS_PER_S;
        struct standing s;

        c.n_crashes = 4;
        c.first_crash_ns = now - 20 * NS_PER_S;
        c.probation_ns = now + 10 * NS_PER_S;
        assert_true(line_of(&c, 1000000, now, &s));
        standing_apply(&s, &d, 1000000 + 4000, booted);
        assert_int_equal(d.n_crashes, 4);
        assert_true(booted - d.first_crash_ns == 24 * NS_PER_S);
        assert_true(d.probation_ns == booted + 6 * NS_PER_S);
        /* the period and the probation are over */
        d = candidate();
        standing_apply(&s, &d, 1000000 + 60000, booted);
        assert_int_equal(d.n_crashes, 0);
        assert_int_equal(d.probation_ns, 0);
}

static void test_a_clock_that_was_set_makes_nothing_longer(void **state) {
        struct standing s = { .n_crashes = 1, .first_crash_ms = 5000000, .probation_ms = 5000000, .restart_ms = 5000000 };
        struct candidate c = candidate();

        /* back by more than an hour */
        assert_int_equal(standing_apply(&s, &c, 1000, 9 * NS_PER_S), 10000);
        assert_int_equal(c.n_crashes, 1);
        assert_true(c.first_crash_ns == 9 * NS_PER_S);
        assert_true(c.probation_ns == 39 * NS_PER_S);
        /* forward */
        c = candidate();
        assert_int_equal(standing_apply(&s, &c, 50000000, 9 * NS_PER_S), 0);
        assert_int_equal(c.n_crashes, 0);
        assert_int_equal(c.probation_ns, 0);
}

#define STANDING(more)                                                                                                                     \
        "{\"module\":\"a\",\"version\":\"1.0.0\",\"sha256\":\"" SHA "\",\"conf\":\"1f\",\"code\":\"\",\"reason\":\"\"" more "}"

static void test_standings_that_make_no_sense(void **state) {
        static const char *const bad[] = {
                "{}",
                STANDING(""),
                STANDING(",\"state\":\"ACTIVE\""),
                STANDING(",\"state\":\"BROKEN\",\"choice\":-1"),
                STANDING(",\"state\":\"BROKEN\",\"crashes\":\"1\""),
                STANDING(",\"state\":\"BROKEN\",\"crashes\":4294967296"),
                STANDING(",\"state\":\"BROKEN\",\"module\":\"../a\""),
                STANDING(",\"state\":\"BROKEN\",\"module\":7"),
                STANDING(",\"state\":\"BROKEN\",\"version\":\"one\""),
                STANDING(",\"state\":\"BROKEN\",\"sha256\":\"0123\""),
                STANDING(",\"state\":\"BROKEN\",\"code\":\"A_CODE_THAT_IS_LONGER_THAN_ANY_CODE_IS\""),
        };
        struct standing s;
        json_t *j = parse(STANDING(",\"state\":\"BROKEN\",\"choice\":3"));

        assert_true(standing_parse(j, &s));
        assert_int_equal(s.choice, 3);
        assert_int_equal(s.conf, 0x1f);
        json_decref(j);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                j = parse(bad[i]);
                assert_false(standing_parse(j, &s));
                json_decref(j);
        }
}

/* Operations, histories, numbers ------------------------------------------------------------------------------------- */

static void test_operations(void **state) {
        static const char *const bad[] = {
                "{}",
                "{\"id\":0,\"kind\":\"deploy\",\"state\":\"done\"}",
                "{\"id\":-1,\"kind\":\"deploy\",\"state\":\"done\"}",
                "{\"id\":9007199254740993,\"kind\":\"deploy\",\"state\":\"done\"}",
                "{\"id\":1,\"kind\":\"dance\",\"state\":\"done\"}",
                "{\"id\":1,\"kind\":\"deploy\",\"state\":\"maybe\"}",
                "{\"id\":1,\"kind\":\"deploy\",\"state\":\"done\",\"actor\":\"0123456789012345678901234567890123456789\"}",
        };
        struct operation op = { 0 };
        json_t *j = parse("{\"id\":12,\"kind\":\"rollback\",\"state\":\"running\",\"module\":\"a\",\"file\":null,\"began_ms\":5}");

        assert_true(operation_store_parse(j, &op));
        assert_int_equal(op.id, 12);
        assert_int_equal(op.kind, OPERATION_ROLLBACK);
        assert_int_equal(op.state, OPERATION_RUNNING);
        assert_string_equal(op.module, "a");
        assert_string_equal(op.file, "");
        assert_int_equal(op.began_ms, 5);
        json_decref(j);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                j = parse(bad[i]);
                assert_false(operation_store_parse(j, &op));
                json_decref(j);
        }
}

static void test_histories_of_a_former_life(void **state) {
        json_t *good = parse("{\"module\":\"gone\",\"time\":\"2026-01-01T00:00:00.000Z\",\"to\":\"ACTIVE\",\"reason\":\"x\"}"), *j;

        assert_true(history_take(good));
        assert_true(history_take(good));
        json_decref(good);
        j = history_json(history_find_past("gone"));
        assert_int_equal(json_array_size(json_object_get(j, "history")), 2);
        assert_null(json_object_get(json_array_get(json_object_get(j, "history"), 0), "module"));
        json_decref(j);
        j = parse("{\"module\":\"No Name\",\"time\":\"\",\"to\":\"\"}");
        assert_false(history_take(j));
        json_decref(j);
        j = parse("{\"module\":\"a\",\"to\":\"ACTIVE\"}");
        assert_false(history_take(j));
        json_decref(j);
        assert_null(history_find_past("a"));
}

/* Who writes much costs himself, and all together no more than they may. */
static void test_histories_are_bounded_in_bytes(void **state) {
        char reason[500], name[16];
        size_t all = 0;

        memset(reason, 'x', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        for (int m = 0; m < 150; m++) {
                snprintf(name, sizeof(name), "big%d", m);
                for (int i = 0; i < HISTORY_MAX; i++) {
                        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s}", "module", name, "time", "t", "to", "BROKEN", "reason", reason,
                                              "more", reason);

                        assert_true(history_take(j));
                        json_decref(j);
                }
        }
        for (int m = 0; m < 150; m++) {
                json_t *j;
                char *text;

                snprintf(name, sizeof(name), "big%d", m);
                j = history_json(history_find_past(name));
                text = json_dumps(j, JSON_COMPACT);
                assert_true(json_array_size(json_object_get(j, "history")) > 10);
                assert_true(strlen(text) <= HISTORY_SIZE);
                all += strlen(text);
                free(text);
                json_decref(j);
        }
        assert_true(all <= HISTORY_ALL_SIZE && all > HISTORY_ALL_SIZE / 2);
        history_started();
        assert_null(history_find_past("big0"));
        assert_non_null(history_find_past("big149"));
}

static void test_numbers(void **state) {
        uint64_t n[N_NUMBERS] = { 0 };
        char good[] = "operation 101\nevent 2001\n", odd[] = "operation 7\nevent x\n", unknown[] = "operation 9 more\nnothing 1\nevent 5\n";

        assert_true(numbers_parse(good, n));
        assert_int_equal(n[NUMBER_operation], 101);
        assert_int_equal(n[NUMBER_event], 2001);
        assert_false(numbers_parse(odd, n));
        assert_int_equal(n[NUMBER_operation], 7);
        assert_int_equal(n[NUMBER_event], 2001);
        assert_false(numbers_parse(unknown, n));
        assert_int_equal(n[NUMBER_operation], 7);
        assert_int_equal(n[NUMBER_event], 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_another_file_or_form),
                cmocka_unit_test(test_appending_needs_a_file),
                cmocka_unit_test(test_nothing_to_be_said),
                cmocka_unit_test(test_a_quarantine_comes_back),
                cmocka_unit_test(test_times_of_another_boot),
                cmocka_unit_test(test_a_clock_that_was_set_makes_nothing_longer),
                cmocka_unit_test(test_standings_that_make_no_sense),
                cmocka_unit_test(test_operations),
                cmocka_unit_test(test_histories_of_a_former_life),
                cmocka_unit_test(test_histories_are_bounded_in_bytes),
                cmocka_unit_test(test_numbers),
        };

        return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}
