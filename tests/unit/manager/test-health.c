/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking a worker for its health: the test is the worker at the other end of the
 * link, and writes its page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/page.h"
#include "ipc/shared.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/health.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"

#define PATIENCE_NS (30 * NS_PER_S)

static struct manager m;
static struct drop_file file;
static struct instance *i;
static struct page_memory *page;
static int base, worker;

static int setup_all(void **state) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        base = pair[1];
        m = (struct manager){ .loop = event_base_new(), .base_link = pair[0], .installer_link = -1, .next_request = 1, .packages = -1 };
        m.log = m.state = -1;
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        TAILQ_INIT(&m.pending_edges);
        TAILQ_INIT(&m.adopted);
        operation_list_init(&m.operations);
        base_config_init(&m.config);
        assert_int_equal(directory_writer_new(&m.directory, 1), 0);
        assert_int_equal(base_link_start(&m), 0);
        file = (struct drop_file){ .manager = &m, .name = "a-1.0.0.smod" };
        return 0;
}

/* A module with one worker that is ready. */
static int setup(void **state) {
        static unsigned n;
        struct manifest manifest;
        struct candidate *c;
        int pair[2], fd = page_new_fd();
        char name[32];

        snprintf(name, sizeof(name), "m%u", n++);
        manifest_init(&manifest);
        manifest.name = strdup(name);
        manifest.version = strdup("1.0.0");
        manifest.entry = strdup("x.so");
        manifest.health_timeout_ms = 20;
        c = candidate_new(module_get(&m, name), &manifest, "", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        c->file = &file;
        lifecycle_reconcile(c->module);
        i = TAILQ_FIRST(&c->instances);
        assert_int_equal(fd_socketpair(pair), 0);
        i->link = pair[0];
        worker = pair[1];
        assert_int_equal(page_open_writer(fd, 9, &page), 0);
        assert_int_equal(page_reader_new(&i->page, fd), 0);
        i->id = 9;
        i->state = INSTANCE_READY;
        lifecycle_on_ready(i);
        assert_ptr_equal(c->module->active, c);
        return 0;
}

static int teardown(void **state) {
        struct control_record record;

        health_free(i);
        i->state = INSTANCE_KILLED; /* of no interest any more */
        if (i->candidate->restart_timer)
                evtimer_del(i->candidate->restart_timer);
        fd_close(worker);
        munmap(page, PAGE_SIZE_TOTAL);
        while (control_receive(base, CONTROL_MANAGER, CONTROL_BASE, &record) == 0)
                control_record_deinit(&record);
        return 0;
}

/* The worker's loop turns. */
static void turn(void) {
        shared_store64(&page->turns, shared_load64(&page->turns) + 1);
}

static bool asked(uint64_t *ret_request) {
        struct control_record record;

        if (control_receive(worker, CONTROL_MANAGER, CONTROL_WORKER, &record) != 0)
                return false;
        assert_int_equal(record.header.kind, CONTROL_KIND_HEALTH);
        *ret_request = record.header.request;
        return true;
}

static uint64_t wait_asked(void) {
        uint64_t request = 0, end = clock_now_ns() + PATIENCE_NS;

        while (!asked(&request) && clock_now_ns() < end)
                event_base_loop(m.loop, EVLOOP_ONCE);
        assert_true(request);
        return request;
}

static void answer(uint64_t request, int result, const char *text) {
        struct control_health_result body = { .result = result, .hook = 1 };

        turn();
        snprintf(body.text, sizeof(body.text), "%s", text);
        health_on_result(i, request, &body);
}

static void wait_concluded(void) {
        uint64_t end = clock_now_ns() + PATIENCE_NS;

        while (health_is_asked(i) && clock_now_ns() < end)
                event_base_loop(m.loop, EVLOOP_ONCE);
        assert_false(health_is_asked(i));
}

static struct health_verdict verdict(void) {
        struct health_verdict v;

        health_verdict(i, &v);
        return v;
}

static void watch(uint64_t threshold) {
        i->candidate->manifest.health_interval_ms = 1;
        i->candidate->manifest.health_threshold = threshold;
        health_start(i);
}

/* Nobody wakes for a module that does not ask for it. */
static void test_without_an_interval_there_is_no_timer(void **state) {
        int before = event_base_get_num_events(m.loop, EVENT_BASE_COUNT_ADDED);
        uint64_t request = 0;

        health_start(i);
        assert_int_equal(event_base_get_num_events(m.loop, EVENT_BASE_COUNT_ADDED), before);
        health_ask(i);
        assert_true(asked(&request));
        answer(request, 0, "");
        assert_int_equal(event_base_get_num_events(m.loop, EVENT_BASE_COUNT_ADDED), before);
}

static void test_on_demand(void **state) {
        uint64_t request = 0, other;

        assert_false(verdict().at_ns);
        health_ask(i);
        health_ask(i); /* shares it */
        assert_true(asked(&request));
        assert_false(asked(&other));
        answer(request + 1, 0, ""); /* of nothing that was asked */
        assert_true(health_is_asked(i));
        answer(request, 9, "no\x1b[2Jroom");
        assert_false(health_is_asked(i));
        assert_false(verdict().healthy);
        assert_string_equal(verdict().reason, "`health` returned 9 (no?[2Jroom)");
        assert_int_equal(verdict().n_failures, 0);
        answer(request, 0, ""); /* once more, unasked */
        assert_false(verdict().healthy);
}

static void test_looking_has_no_consequence(void **state) {
        i->candidate->manifest.health_threshold = 1;
        for (int n = 0; n < 5; n++) {
                health_ask(i);
                answer(wait_asked(), 1, "");
        }
        assert_false(i->unhealthy);
        assert_int_equal(i->state, INSTANCE_READY);
}

static void test_a_hook_that_took_too_long_for_an_earlier_question(void **state) {
        struct control_health_result body = { .took_ns = NS_PER_S };
        uint64_t request = 0;

        health_ask(i);
        assert_true(asked(&request));
        turn();
        health_on_result(i, request, &body);
        assert_false(verdict().healthy);
        assert_non_null(strstr(verdict().reason, "more than [health] timeout"));
}

/* Its link must have room for orders: what it has not even read is not said again. */
static void test_who_does_not_read_is_not_written_to(void **state) {
        uint64_t first = 0, next = 0;

        health_ask(i);
        wait_concluded();
        assert_non_null(strstr(verdict().reason, "does not run"));
        assert_true(asked(&first));
        health_ask(i);
        assert_false(asked(&next));
        answer(first, 0, ""); /* at last */
        assert_true(verdict().healthy);
        health_ask(i);
        assert_true(asked(&next));
        assert_int_not_equal(next, first);
}

static void test_threshold_in_a_row(void **state) {
        watch(2);
        answer(wait_asked(), 1, "");
        assert_int_equal(verdict().n_failures, 1);
        answer(wait_asked(), 0, "");
        assert_int_equal(verdict().n_failures, 0);
        answer(wait_asked(), 1, "");
        assert_false(i->unhealthy);
        answer(wait_asked(), 1, "gone mad");
        assert_true(i->unhealthy);
        /* it serves until another one can */
        assert_int_equal(i->state, INSTANCE_READY);
        assert_int_equal(i->candidate->state, CANDIDATE_ACTIVE);
        assert_int_equal(i->candidate->fault, FAULT_UNHEALTHY);
        assert_string_equal(i->candidate->reason, "unhealthy 2 times in a row: `health` returned 1 (gone mad)");
        assert_int_equal(i->candidate->restarts, 1);
}

static void test_its_successor_takes_over(void **state) {
        struct candidate *c = i->candidate;
        struct instance *next;
        uint64_t end = clock_now_ns() + PATIENCE_NS;

        watch(1);
        answer(wait_asked(), 1, "");
        while (!(next = TAILQ_NEXT(i, entry)) && clock_now_ns() < end)
                event_base_loop(m.loop, EVLOOP_ONCE);
        assert_non_null(next);
        assert_int_equal(i->state, INSTANCE_READY);
        next->id = 10;
        next->state = INSTANCE_READY;
        lifecycle_on_ready(next);
        assert_int_equal(i->state, INSTANCE_RETIRING);
        assert_int_equal(next->state, INSTANCE_READY);
        assert_int_equal(c->state, CANDIDATE_ACTIVE);
        assert_int_equal(c->fault, FAULT_NONE);
        next->state = INSTANCE_KILLED;
}

/* The hook waits for something, others are served: no reason to kill. */
static void test_a_hook_that_waits_too_long(void **state) {
        watch(1);
        wait_asked();
        turn();
        wait_concluded();
        assert_true(i->unhealthy);
        assert_int_equal(i->state, INSTANCE_READY);
        assert_non_null(strstr(i->candidate->reason, "has not returned"));
}

static void test_who_hangs_is_ended(void **state) {
        watch(1);
        wait_asked();
        shared_store64(&page->running_ns, clock_now_ns() - 1);
        wait_concluded();
        assert_non_null(i->diagnosis); /* where it is; then it is ended */
        assert_false(i->unhealthy);
}

static void test_who_does_not_run_is_killed(void **state) {
        watch(1);
        wait_asked();
        wait_concluded();
        assert_int_equal(i->state, INSTANCE_KILLED);
        assert_non_null(strstr(i->reason, "does not run"));
}

/* As one that crashes again and again. */
static void test_quarantine(void **state) {
        i->candidate->manifest.burst = 1;
        i->candidate->n_crashes = 1;
        i->candidate->first_crash_ns = clock_now_ns();
        watch(1);
        answer(wait_asked(), 1, "");
        assert_int_equal(i->candidate->state, CANDIDATE_QUARANTINED);
        assert_int_equal(i->state, INSTANCE_RETIRING);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_without_an_interval_there_is_no_timer),
                T(test_on_demand),
                T(test_looking_has_no_consequence),
                T(test_a_hook_that_took_too_long_for_an_earlier_question),
                T(test_who_does_not_read_is_not_written_to),
                T(test_threshold_in_a_row),
                T(test_its_successor_takes_over),
                T(test_a_hook_that_waits_too_long),
                T(test_who_hangs_is_ended),
                T(test_who_does_not_run_is_killed),
                T(test_quarantine),
        };

        return cmocka_run_group_tests(tests, setup_all, NULL);
}
