/* SPDX-License-Identifier: Apache-2.0
 *
 * The `health` hook without a process: the test is the manager at the other end
 * of the link.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "libmodule/worker-internal.h"

static int link_fds[2]; /* the worker's end, the manager's */
static int n_calls, n_running, result;
static uint32_t wait_ms;
static int64_t left_ms;
static const char *why;

static int hook(struct socle_module *self) {
        n_calls++;
        assert_int_equal(n_running++, 0);
        left_ms = socle_deadline_left_ms();
        if (wait_ms)
                assert_int_equal(socle_sleep(wait_ms), 0);
        n_running--;
        return why ? socle_fail(result, "%s", why) : result;
}

static int setup(void **state) {
        static const struct socle_hooks with = { .health = hook };
        int page = page_new_fd();

        assert_int_equal(fd_socketpair(link_fds), 0);
        the_worker = (struct worker){ .start = { .link = link_fds[0] }, .module = { .hooks = &with }, .ready = true };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        n_calls = result = 0;
        wait_ms = 0;
        why = NULL;
        return 0;
}

static int teardown(void **state) {
        munmap(the_worker.start.page, PAGE_SIZE_TOTAL);
        fd_close(link_fds[0]);
        fd_close(link_fds[1]);
        return 0;
}

static void ask(uint64_t request) {
        health_on_ask(request, clock_now_ns() + 1000 * NS_PER_S);
}

static struct control_health_result answered(uint64_t request) {
        struct control_record record;

        assert_int_equal(control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_HEALTH_RESULT);
        assert_int_equal(record.header.request, request);
        return record.HEALTH_RESULT;
}

static void not_answered(void) {
        struct control_record record;

        assert_int_equal(control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record), CONTROL_E_AGAIN);
}

static void sleep_out(void) {
        uint64_t end = clock_now_ns() + 30 * NS_PER_S;

        while (wait_timeout_ms() >= 0 && clock_now_ns() < end)
                wait_turn();
}

static void test_result_and_reason(void **state) {
        static const struct {
                int result;
                const char *why, *text;
        } cases[] = {
                { 0, NULL, "" }, { 7, "the disk is full", "the disk is full" }, { 7, NULL, "" }, { -5, NULL, "" }, { 0, "all is well", "" }
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct control_health_result r;

                result = cases[i].result;
                why = cases[i].why;
                ask(i);
                r = answered(i);
                assert_int_equal(r.hook, 1);
                assert_int_equal(r.result, cases[i].result);
                assert_string_equal(r.text, cases[i].text);
        }
        assert_true(left_ms > 500000 && left_ms <= 1000000);
}

/* It is well because it answers. */
static void test_without_a_hook(void **state) {
        static const struct socle_hooks without;
        struct control_health_result r;

        the_worker.module.hooks = &without;
        ask(3);
        r = answered(3);
        assert_int_equal(r.hook, 0);
        assert_int_equal(r.result, 0);
}

/* Whoever asks while it runs is told what came of this run, and how long it was. */
static void test_one_at_a_time(void **state) {
        struct control_health_result r;

        wait_ms = 5;
        ask(1);
        ask(2);
        not_answered();
        sleep_out();
        r = answered(2);
        not_answered();
        assert_int_equal(n_calls, 1);
        assert_true(r.took_ns >= 5 * NS_PER_MS);
        wait_ms = 0;
        ask(3);
        answered(3);
        assert_int_equal(n_calls, 2);
}

static void test_not_before_start_and_not_after_stop(void **state) {
        the_worker.ready = false;
        ask(1);
        the_worker.ready = the_worker.stopping = true;
        ask(2);
        not_answered();
        assert_int_equal(n_calls, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_result_and_reason),
                TEST(test_without_a_hook),
                TEST(test_one_at_a_time),
                TEST(test_not_before_start_and_not_after_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
