/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances as the base tells of them: a manager without processes, and its
 * base on the other end of a pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/page.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/writer.h"

static struct manager m;
static struct drop_file file;
static int base;

static void on_idle(void *userdata) {
}

/* One life for all tests; each has a module of its own in it. */
static int setup_all(void **state) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        base = pair[1];
        m = (struct manager){ .loop = event_base_new(), .base_link = pair[0], .installer_link = -1, .next_request = 1, .packages = -1 };
        m.state = open("/nowhere", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        m.log = -1;
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.aliases);
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        TAILQ_INIT(&m.pending_edges);
        TAILQ_INIT(&m.adopted);
        operation_list_init(&m.operations);
        base_config_init(&m.config);
        assert_int_equal(writer_new(m.loop, on_idle, NULL, &m.writer), 0);
        assert_int_equal(directory_writer_new(&m.directory, 1), 0);
        assert_int_equal(base_link_start(&m), 0);
        file = (struct drop_file){ .manager = &m, .name = "a-1.0.0.smod" };
        return 0;
}

static int teardown_all(void **state) {
        close(base);
        close(m.base_link);
        return 0;
}

static int setup(void **state) {
        struct control_record record;

        while (control_receive(base, CONTROL_MANAGER, CONTROL_BASE, &record) == 0)
                control_record_deinit(&record);
        return 0;
}

static struct candidate *candidate(const char *module, const char *version, uint64_t choice) {
        struct manifest manifest;
        struct candidate *c;

        manifest_init(&manifest);
        manifest.name = strdup(module);
        manifest.version = strdup(version);
        manifest.entry = strdup("x.so");
        c = candidate_new(module_get(&m, module), &manifest, "", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        assert_non_null(c);
        c->file = &file;
        c->choice = choice;
        return c;
}

/* What the base is told next, of that kind. */
static struct control_record told(enum control_kind kind) {
        struct control_record record;

        do
                assert_int_equal(control_receive(base, CONTROL_MANAGER, CONTROL_BASE, &record), 0);
        while (record.header.kind != kind);
        control_record_deinit(&record);
        return record;
}

static bool asked_for_no_worker(void) {
        struct control_record record;

        while (control_receive(base, CONTROL_MANAGER, CONTROL_BASE, &record) == 0) {
                control_record_deinit(&record);
                if (record.header.kind == CONTROL_KIND_FORK)
                        return false;
        }
        return true;
}

static void fork_fails(uint64_t request) {
        instance_on_fork_failed(&m, request, &(struct control_fork_failed){ .error = -EAGAIN, .step = FORK_STEP_CLONE });
}

/* It stood in the directory for ever: the base tells of a death once, until it is acknowledged. */
static void test_who_dies_before_he_is_adopted_is_not_adopted(void **state) {
        struct control_record record = { .INSTANCE = { .instance = 7, .pid = 4711, .adopted = 1 }, .n_fds = 4 };
        int pair[2];

        m.restoring = true;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(fd_pipe(pair), 0);
                record.fds[2 * i] = pair[0];
                record.fds[2 * i + 1] = pair[1];
        }
        instance_on_record(&m, &record);
        assert_false(TAILQ_EMPTY(&m.adopted));
        instance_on_exited(&m, &(struct control_exited){ .instance = 8 });
        assert_false(TAILQ_EMPTY(&m.adopted));
        instance_on_exited(&m, &(struct control_exited){ .instance = 7 });
        assert_true(TAILQ_EMPTY(&m.adopted));
        assert_int_equal(told(CONTROL_KIND_EXIT_ACK).EXIT_ACK.instance, 8);
        assert_int_equal(told(CONTROL_KIND_EXIT_ACK).EXIT_ACK.instance, 7);
        m.restoring = false;
}

static void test_a_fork_that_nobody_wants_any_more_may_fail(void **state) {
        struct candidate *c = candidate("b", "1.0.0", 1);
        uint64_t request;

        lifecycle_reconcile(c->module);
        request = told(CONTROL_KIND_FORK).header.request;
        candidate("b", "1.1.0", 2);
        lifecycle_reconcile(c->module);
        fork_fails(request);
        assert_false(c->failed);
        assert_int_not_equal(c->state, CANDIDATE_BROKEN);
}

static void test_a_fork_that_fails_breaks_the_version(void **state) {
        struct candidate *c = candidate("c", "1.0.0", 1);

        lifecycle_reconcile(c->module);
        fork_fails(told(CONTROL_KIND_FORK).header.request);
        assert_true(c->failed);
        assert_int_equal(c->state, CANDIDATE_BROKEN);
        assert_true(asked_for_no_worker());
}

/* Versions were quarantined, or given up for the ones before, because a worker had ended while the base stopped. */
static void test_a_base_that_stops_says_nothing_of_a_version(void **state) {
        struct candidate *c = candidate("o", "1.0.0", 1);
        struct operation *op = operation_new(&m.operations, OPERATION_DEPLOY, "o", "o-1.0.0.smod");

        c->operation = op;
        lifecycle_reconcile(c->module);
        instance_on_fork_failed(&m, told(CONTROL_KIND_FORK).header.request, &(struct control_fork_failed){ .error = -ESHUTDOWN });
        assert_false(c->failed);
        assert_int_equal(c->n_crashes, 0);
        assert_int_not_equal(c->state, CANDIDATE_BROKEN);
        assert_int_equal(op->fault, FAULT_STOPPING);
        assert_true(asked_for_no_worker()); /* not at once, for ever */
}

/* The first restart is at once, and not within the reaction that could free what is being looked at. */
static void test_what_has_served_is_started_again_next_turn(void **state) {
        struct candidate *c = candidate("d", "1.0.0", 1);

        c->served = true;
        lifecycle_reconcile(c->module);
        fork_fails(told(CONTROL_KIND_FORK).header.request);
        assert_false(c->failed);
        assert_true(asked_for_no_worker());
        event_base_loop(m.loop, EVLOOP_ONCE);
        told(CONTROL_KIND_FORK);
}

/* A back-off that somebody ends by choosing it again. */
static void test_who_chooses_again_does_not_wait(void **state) {
        struct candidate *c = candidate("g", "1.0.0", 1);

        c->served = true;
        c->manifest.backoff_ms = c->manifest.backoff_max_ms = 600000;
        for (int i = 0; i < 2; i++)
                lifecycle_on_crash(c, 1, "killed by SIGSEGV"); /* the first restart is at once */
        assert_true(evtimer_pending(c->restart_timer, NULL));
        lifecycle_reconcile(c->module);
        assert_true(asked_for_no_worker());
        candidate_choose(c, 2);
        lifecycle_reconcile(c->module);
        told(CONTROL_KIND_FORK);
}

/* It stood as running for ever, and every later deployment of the name was a conflict. */
static void test_an_operation_that_is_overtaken_ends(void **state) {
        struct candidate *c = candidate("h", "1.0.0", 1);
        struct operation *op = operation_new(&m.operations, OPERATION_DEPLOY, "a", "a-1.0.0.smod");

        c->operation = op;
        lifecycle_reconcile(c->module);
        candidate("h", "1.1.0", 2);
        lifecycle_reconcile(c->module);
        assert_int_equal(op->state, OPERATION_FAILED);
        assert_int_equal(op->fault, FAULT_SUPERSEDED);
}

/* Its module had gone before its file: the package's removal, and with it the end of the base, waited for ever. */
static void test_a_removal_does_not_wait_for_a_name_that_is_gone(void **state) {
        struct operation *op = operation_new(&m.operations, OPERATION_UNDEPLOY, "m", "");
        struct module *mod = module_get(&m, "m");
        struct drop_file *f = drop_get_alias(&m, "m-1.0.0.smod", "other");

        mod->undeploy = op;
        lifecycle_settle(mod);
        assert_int_equal(op->state, OPERATION_RUNNING);
        drop_on_gone(f);
        assert_int_equal(op->state, OPERATION_DONE);
        assert_null(module_find(&m, "m"));
}

static void test_failures_of_a_former_life(void **state) {
        struct candidate *good = candidate("e", "1.0.0", 1), *bad = candidate("e", "0.9.0", 2);

        candidate_set_failed(bad);
        module_forgive(good->module);
        assert_ptr_equal(module_wanted(good->module), good);
        assert_int_equal(bad->state, CANDIDATE_BROKEN);
        candidate_set_failed(good);
        module_forgive(good->module);
        assert_ptr_equal(module_wanted(good->module), bad);
        assert_int_equal(bad->state, CANDIDATE_RESOLVED);
}

/* Calls of that version found nobody until its new worker was there. */
static void test_beside_a_worker_serves_until_another_takes_its_place(void **state) {
        struct candidate *chosen = candidate("l", "1.1.0", 2), *old = candidate("l", "1.0.0", 1), *new;
        struct instance *i;

        chosen->manifest.strategy = MANIFEST_SIDE_BY_SIDE;
        lifecycle_reconcile(old->module);
        i = TAILQ_FIRST(&old->instances);
        i->state = INSTANCE_READY;
        lifecycle_reconcile(old->module);
        assert_int_equal(old->state, CANDIDATE_ACTIVE);
        new = candidate("l", "1.0.0", 1); /* its settings have changed */
        file.candidate = new;
        old->file = NULL;
        old->replaced_in = &file;
        lifecycle_reconcile(old->module);
        assert_false(i->retire);
        assert_int_equal(new->state, CANDIDATE_STARTING);
        TAILQ_FIRST(&new->instances)->state = INSTANCE_READY;
        lifecycle_on_ready(TAILQ_FIRST(&new->instances));
        assert_int_equal(new->state, CANDIDATE_ACTIVE);
        assert_true(i->retire);
        file.candidate = NULL;
}

static struct instance *ready_instance(const char *module, struct page_memory **ret_page) {
        struct candidate *c = candidate(module, "1.0.0", 1);
        int fd = page_new_fd();
        struct instance *i;

        lifecycle_reconcile(c->module);
        told(CONTROL_KIND_FORK);
        i = TAILQ_FIRST(&c->instances);
        assert_int_equal(page_open_writer(fd, 9, ret_page), 0);
        assert_int_equal(page_reader_new(&i->page, fd), 0);
        i->id = 9;
        i->state = INSTANCE_READY;
        return i;
}

static void test_busy_is_not_hung(void **state) {
        struct control_record record;
        struct page_memory *page;
        struct instance *i = ready_instance("f", &page);

        i->candidate->manifest.request_timeout_ms = 30000;
        page->running_ns = clock_now_ns() - 5 * NS_PER_S;
        instance_on_timed_out(&m, 9);
        assert_int_equal(i->state, INSTANCE_READY);
        page->running_ns = clock_now_ns() - 20 * NS_PER_S;
        page_set_request(page, "kv.get", 6, NULL, 0);
        instance_on_timed_out(&m, 9);
        assert_int_equal(i->state, INSTANCE_READY);
        assert_int_equal(told(CONTROL_KIND_DIAGNOSE).DIAGNOSE.instance, 9);
        instance_on_timed_out(&m, 9); /* by another caller; it is asked once */
        page_set_position(page, "x.so: f+0x1", 11);
        diagnosis_on_answer(i);
        assert_int_equal(i->state, INSTANCE_KILLED);
        assert_int_equal(told(CONTROL_KIND_KILL).KILL.instance, 9);
        /* 20 s and what the test has taken */
        assert_memory_equal(i->reason, "hung: kv.get has run for 2", 26);
        assert_non_null(strstr(i->reason, " s and is ended; it is in x.so: f+0x1"));
        diagnosis_on_answer(i); /* as often as it likes */
        assert_int_equal(control_receive(base, CONTROL_MANAGER, CONTROL_BASE, &record), CONTROL_E_AGAIN);
        i->id = 0; /* the number is the next one's */
}

static void test_who_waits_is_not_hung(void **state) {
        struct page_memory *page;
        struct instance *i = ready_instance("i", &page);

        i->candidate->manifest.request_timeout_ms = 1;
        page->running_ns = 0;
        instance_on_timed_out(&m, 9);
        page->running_ns = UINT64_MAX; /* as a liar may say */
        instance_on_timed_out(&m, 9);
        assert_null(i->diagnosis);
        assert_int_equal(i->state, INSTANCE_READY);
        i->id = 0;
}

static void test_who_does_not_answer_is_killed(void **state) {
        struct page_memory *page;
        struct instance *i = ready_instance("j", &page);

        diagnosis_begin(i, "hung");
        told(CONTROL_KIND_DIAGNOSE);
        while (i->state != INSTANCE_KILLED) /* others have timers, too */
                event_base_loop(m.loop, EVLOOP_ONCE);
        assert_int_equal(told(CONTROL_KIND_KILL).KILL.instance, 9);
        assert_string_equal(i->reason, "hung; it does not answer where it is");
        i->id = 0;
}

/* The walk over its own stack may be what it dies of: it hung all the same. */
static void test_who_dies_while_it_is_asked_has_hung(void **state) {
        struct page_memory *page;
        struct instance *i = ready_instance("k", &page);
        struct candidate *c = i->candidate;

        page_set_level(page, PAGE_READY);
        diagnosis_begin(i, "hung");
        page_set_position(page, "x.so: f+0x1", 11);
        instance_on_exited(&m, &(struct control_exited){ .instance = 9, .code = CLD_KILLED, .status = SIGSEGV });
        assert_int_equal(c->state, CANDIDATE_BROKEN);
        assert_string_equal(c->reason, "hung; it is in x.so: f+0x1");
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_who_dies_before_he_is_adopted_is_not_adopted),
                T(test_a_fork_that_nobody_wants_any_more_may_fail),
                T(test_a_fork_that_fails_breaks_the_version),
                T(test_a_base_that_stops_says_nothing_of_a_version),
                T(test_what_has_served_is_started_again_next_turn),
                T(test_who_chooses_again_does_not_wait),
                T(test_an_operation_that_is_overtaken_ends),
                T(test_a_removal_does_not_wait_for_a_name_that_is_gone),
                T(test_failures_of_a_former_life),
                T(test_beside_a_worker_serves_until_another_takes_its_place),
                T(test_busy_is_not_hung),
                T(test_who_waits_is_not_hung),
                T(test_who_does_not_answer_is_killed),
                T(test_who_dies_while_it_is_asked_has_hung),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
