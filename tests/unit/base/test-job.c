/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs end by themselves, by their deadline, or before they begin, and leave no
 * child and no memory behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "supervisor/base/base.h"

struct ended {
        unsigned n;
        struct job_report report;
};

static void on_end(struct base *base, struct job *job, const struct job_report *report) {
        struct ended *e = job->userdata;

        assert_int_equal(job->pid, 0);
        e->n++;
        e->report = *report;
}

/* A job says so much, and then ends as it is told; with INT32_MAX never by itself. */
static int say(const void *order, pid_t base, struct job_report *report) {
        const int *error = order;

        report->n_removed = 7;
        while (*error == INT32_MAX)
                pause();
        return getppid() == base ? *error : -ESRCH;
}

static struct job job_of(struct ended *e) {
        struct job job = JOB_INIT;

        job.on_end = on_end;
        job.userdata = e;
        return job;
}

static bool has_child(void) {
        return waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD;
}

static unsigned n_maps(void) {
        FILE *maps = fopen("/proc/self/maps", "r");
        unsigned n = 0;
        int c;

        assert_non_null(maps);
        while ((c = getc(maps)) != EOF)
                n += c == '\n';
        fclose(maps);
        return n;
}

static void test_what_it_says(void **state) {
        struct base base = { .epoll_fd = loop_new() };
        struct ended e = { 0 };
        struct job job = job_of(&e);
        int error = -EXDEV;

        assert_int_equal(job_start(&base, &job, 60 * NS_PER_S, say, &error), 0);
        assert_true(job_tick(&job) < UINT64_MAX);
        while (!e.n)
                assert_int_equal(loop_turn(&base, UINT64_MAX), 0);
        assert_int_equal(e.report.error, -EXDEV);
        assert_int_equal(e.report.n_removed, 7);
        assert_true(job_tick(&job) == UINT64_MAX);
        assert_false(has_child());
        close(base.epoll_fd);
}

static void test_its_deadline(void **state) {
        struct base base = { .epoll_fd = loop_new() };
        struct ended e = { 0 };
        struct job job = job_of(&e);
        int error = INT32_MAX;

        assert_int_equal(job_start(&base, &job, 0, say, &error), 0);
        assert_true(job_tick(&job) == UINT64_MAX);
        while (!e.n)
                assert_int_equal(loop_turn(&base, UINT64_MAX), 0);
        assert_int_equal(e.report.error, -ETIME);
        assert_false(has_child());
        close(base.epoll_fd);
}

static void test_waited_for_until_its_deadline(void **state) {
        struct base base = { .epoll_fd = loop_new() };
        struct ended e = { 0 };
        struct job job = job_of(&e);
        struct job_report report;
        int error = INT32_MAX;

        alarm(60);
        assert_int_equal(job_start(&base, &job, 20 * NS_PER_MS, say, &error), 0);
        job_wait(&base, &job, &report);
        alarm(0);
        assert_int_equal(report.error, -ETIME);
        assert_int_equal(e.n, 0);
        assert_false(has_child());
        close(base.epoll_fd);
}

/* It was begun and cannot be watched. */
static void test_nothing_is_left_of_a_failure(void **state) {
        struct base base = { .epoll_fd = -1 };
        struct ended e = { 0 };
        struct job job = job_of(&e);
        int error = INT32_MAX;
        unsigned before;

        assert_int_equal(job_start(&base, &job, 60 * NS_PER_S, say, &error), -EBADF);
        before = n_maps();
        for (int i = 0; i < 10; i++)
                assert_int_equal(job_start(&base, &job, 60 * NS_PER_S, say, &error), -EBADF);
        assert_int_equal(job.pid, 0);
        assert_int_equal(e.n, 0);
        assert_int_equal(n_maps(), before);
        assert_false(has_child());
}

static void test_dropped(void **state) {
        struct base base = { .epoll_fd = loop_new() };
        struct ended e = { 0 };
        struct job job = job_of(&e);
        int error = INT32_MAX;

        assert_int_equal(job_start(&base, &job, 60 * NS_PER_S, say, &error), 0);
        job_drop(&base, &job);
        job_drop(&base, &job);
        assert_int_equal(loop_turn(&base, 0), 0);
        assert_int_equal(e.n, 0);
        assert_false(has_child());
        close(base.epoll_fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_it_says),
                cmocka_unit_test(test_its_deadline),
                cmocka_unit_test(test_waited_for_until_its_deadline),
                cmocka_unit_test(test_nothing_is_left_of_a_failure),
                cmocka_unit_test(test_dropped),
        };

        return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
