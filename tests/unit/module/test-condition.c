/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions, without a worker: the test resumes coroutines and turns the loop's
 * part of it. Time passes when it says so.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "libmodule/condition.h"
#include "libmodule/task.h"
#include "libmodule/worker-internal.h"

#define WAITS (-1)

static struct socle_condition *condition;
static unsigned n_done;

struct waiting {
        struct task task;
        int64_t timeout_ms;
        unsigned times; /* how often it waits; 0: once */
        int result;     /* WAITS: none yet */
        unsigned place; /* who came first, from 1 */
};

static int setup(void **state) {
        int page = page_new_fd();

        the_worker = (struct worker){ .epoll = -1 };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        condition = socle_condition_new();
        assert_non_null(condition);
        n_done = 0;
        return 0;
}

static int teardown(void **state) {
        condition = socle_condition_free(condition);
        assert_false(conditions_due());
        assert_int_equal(wait_timeout_ms(), -1);
        munmap(the_worker.start.page, PAGE_SIZE_TOTAL);
        return 0;
}

static void waiting_main(void *arg) {
        struct waiting *w = arg;

        do
                w->result = socle_condition_wait(condition, w->timeout_ms);
        while (w->times && --w->times);
        w->place = ++n_done;
}

static void begin(struct waiting *w, int64_t timeout_ms) {
        struct coroutine *co = coroutine_new(waiting_main, w);

        w->timeout_ms = timeout_ms;
        w->result = WAITS;
        coroutine_set_userdata(co, &w->task);
        worker_resume(co);
        assert_int_equal(w->result, WAITS);
}

static void pass_ms(uint64_t ms) {
        deadlines_run(wait_deadlines(), clock_now_ns() + ms * NS_PER_MS);
}

static void test_one_after_the_other(void **state) {
        struct waiting w[3] = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(w); i++)
                begin(&w[i], SOCLE_FOREVER);
        assert_int_equal(wait_timeout_ms(), -1);
        for (size_t i = 0; i < N_ELEMENTS(w); i++) {
                assert_int_equal(socle_condition_signal(condition), 0);
                assert_int_equal(w[i].result, WAITS); /* who signals goes on */
                assert_true(conditions_due());
                conditions_turn();
                assert_false(conditions_due());
                assert_int_equal(w[i].result, 0);
                assert_int_equal(n_done, i + 1);
        }
}

static void test_all_in_their_order(void **state) {
        struct waiting w[3] = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(w); i++)
                begin(&w[i], i == 1 ? 1000 : SOCLE_FOREVER);
        assert_int_equal(socle_condition_broadcast(condition), 0);
        assert_int_equal(wait_timeout_ms(), -1);
        conditions_turn();
        for (size_t i = 0; i < N_ELEMENTS(w); i++) {
                assert_int_equal(w[i].result, 0);
                assert_int_equal(w[i].place, i + 1);
        }
}

static void test_a_signal_is_not_kept(void **state) {
        struct waiting w = { 0 };

        assert_int_equal(socle_condition_signal(condition), 0);
        assert_int_equal(socle_condition_broadcast(condition), 0);
        assert_false(conditions_due());
        begin(&w, SOCLE_FOREVER);
        conditions_turn();
        assert_int_equal(w.result, WAITS);
        socle_condition_signal(condition);
        conditions_turn();
        assert_int_equal(w.result, 0);
}

/* Each of two wakes the other and waits again: that must not be one turn for ever. */
static void waking_main(void *arg) {
        struct waiting *w = arg;

        while (w->times--) {
                socle_condition_signal(condition);
                w->result = socle_condition_wait(condition, SOCLE_FOREVER);
        }
        socle_condition_signal(condition);
        n_done++;
}

static void test_a_turn_has_an_end(void **state) {
        struct waiting w[2] = { { .times = 100 }, { .times = 100 } };
        int n_turns = 0;

        for (size_t i = 0; i < N_ELEMENTS(w); i++)
                worker_resume(coroutine_new(waking_main, &w[i]));
        for (; n_done < N_ELEMENTS(w); n_turns++)
                conditions_turn();
        assert_true(n_turns >= 100);
}

static void test_time_passes(void **state) {
        struct waiting w[4] = { 0 };

        begin(&w[0], 3600000);
        begin(&w[1], 60000);
        begin(&w[2], 0);
        begin(&w[3], -5); /* what was left until a deadline that has passed */
        assert_int_equal(wait_timeout_ms(), 0);
        pass_ms(30000);
        assert_int_equal(w[0].result, WAITS);
        assert_int_equal(w[1].result, WAITS);
        assert_int_equal(w[2].result, SOCLE_E_TIMEOUT);
        assert_int_equal(w[3].result, SOCLE_E_TIMEOUT);
        pass_ms(90000);
        assert_int_equal(w[1].result, SOCLE_E_TIMEOUT);
        assert_string_equal(w[1].task.detail.text, "what was waited for has not come in time");
        /* nobody wakes who does not wait any more */
        socle_condition_signal(condition);
        conditions_turn();
        assert_int_equal(w[0].result, 0);
}

static void test_time_passes_when_it_was_woken(void **state) {
        struct waiting w = { 0 };

        begin(&w, 1000);
        socle_condition_signal(condition);
        pass_ms(5000);
        assert_int_equal(w.result, WAITS);
        conditions_turn();
        assert_int_equal(w.result, 0);
}

static void test_more_time_than_there_is(void **state) {
        static const int64_t times[] = { INT64_MAX - 1, INT64_MAX / 1000000 };
        struct waiting w[N_ELEMENTS(times)] = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(times); i++)
                begin(&w[i], times[i]);
        pass_ms(UINT64_C(86400000) * 365);
        assert_int_equal(n_done, 0);
        socle_condition_broadcast(condition);
        conditions_turn();
        assert_int_equal(n_done, N_ELEMENTS(times));
}

static void test_cancelled(void **state) {
        struct waiting w[2] = { 0 };

        begin(&w[0], SOCLE_FOREVER);
        begin(&w[1], SOCLE_FOREVER);
        task_cancel(&w[0].task);
        assert_int_equal(w[0].result, WAITS); /* whoever cancels it may be reading an edge */
        assert_int_equal(wait_timeout_ms(), 0);
        pass_ms(0);
        assert_int_equal(w[0].result, SOCLE_E_CANCELLED);
        assert_int_equal(w[1].result, WAITS);
        socle_condition_signal(condition);
        conditions_turn();
        assert_int_equal(w[1].result, 0);
}

/* Its signal would be lost for the others if it were not told of it. */
static void test_cancelled_when_it_was_woken(void **state) {
        struct waiting w[2] = { 0 };

        begin(&w[0], 1000);
        socle_condition_signal(condition);
        task_cancel(&w[0].task);
        begin(&w[1], 1000);
        task_cancel(&w[1].task);
        socle_condition_signal(condition);
        pass_ms(5000);
        conditions_turn();
        assert_int_equal(w[0].result, 0);
        assert_int_equal(w[1].result, 0);
}

/* A loop that does not look at what it gets must let the others run. */
static void test_cancelled_before(void **state) {
        struct waiting w = { .times = 3 };

        w.task.cancelled = true;
        begin(&w, SOCLE_FOREVER);
        for (unsigned left = 3; left; left--) {
                assert_int_equal(w.times, left);
                assert_true(wait_timeout_ms() >= 0);
                pass_ms(1);
        }
        assert_int_equal(w.result, SOCLE_E_CANCELLED);
}

static void test_freed_under_them(void **state) {
        struct waiting w[2] = { 0 };

        begin(&w[0], SOCLE_FOREVER);
        begin(&w[1], 1000);
        condition = socle_condition_free(condition);
        assert_null(condition);
        assert_int_equal(n_done, 0);
        conditions_turn();
        assert_int_equal(w[0].result, -EIDRM);
        assert_int_equal(w[1].result, -EIDRM);
}

/* Who was woken by a signal has been, whatever becomes of the condition. */
static void test_freed_when_it_was_woken(void **state) {
        struct waiting w = { 0 };

        begin(&w, SOCLE_FOREVER);
        socle_condition_signal(condition);
        condition = socle_condition_free(condition);
        conditions_turn();
        assert_int_equal(w.result, 0);
}

static void *elsewhere(void *unused) {
        assert_int_equal(socle_condition_wait(condition, 0), -EDEADLK);
        assert_int_equal(socle_condition_signal(condition), -EDEADLK);
        assert_int_equal(socle_condition_broadcast(condition), -EDEADLK);
        return NULL;
}

static void test_wrong_places(void **state) {
        struct waiting w = { 0 };
        pthread_t thread;

        assert_int_equal(socle_condition_wait(condition, 0), -EDEADLK);
        assert_int_equal(socle_condition_signal(NULL), -EINVAL);
        assert_int_equal(socle_condition_broadcast(NULL), -EINVAL);
        assert_null(socle_condition_free(NULL));
        assert_int_equal(pthread_create(&thread, NULL, elsewhere, NULL), 0);
        pthread_join(thread, NULL);
        condition = socle_condition_free(condition);
        worker_resume(coroutine_new(waiting_main, &w)); /* without one */
        assert_int_equal(w.result, -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_one_after_the_other),
                TEST(test_all_in_their_order),
                TEST(test_a_signal_is_not_kept),
                TEST(test_a_turn_has_an_end),
                TEST(test_time_passes),
                TEST(test_time_passes_when_it_was_woken),
                TEST(test_more_time_than_there_is),
                TEST(test_cancelled),
                TEST(test_cancelled_when_it_was_woken),
                TEST(test_cancelled_before),
                TEST(test_freed_under_them),
                TEST(test_freed_when_it_was_woken),
                TEST(test_wrong_places),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
