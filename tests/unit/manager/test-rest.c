/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances that rest and serve again, and what crosses on the way: the test is the
 * worker, whose link and page the manager has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/page.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/instance-internal.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/quiescence.h"
#include "supervisor/manager/replicas.h"

static struct manager m;
static struct drop_file file;
static int base, worker;
static struct page_memory *page;
static struct instance *i;

static int setup_all(void **state) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        base = pair[1];
        m = (struct manager){ .loop = event_base_new(), .base_link = pair[0], .installer_link = -1, .next_request = 1, .packages = -1 };
        m.log = m.state = -1;
        m.restoring = m.ready_sent = true; /* so that nobody reconciles */
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        TAILQ_INIT(&m.pending_edges);
        TAILQ_INIT(&m.adopted);
        TAILQ_INIT(&m.aliases);
        operation_list_init(&m.operations);
        base_config_init(&m.config);
        outbox_start(m.loop);
        assert_int_equal(directory_writer_new(&m.directory, 1), 0);
        assert_int_equal(base_link_start(&m), 0);
        file = (struct drop_file){ .manager = &m, .name = "a-1.0.0.smod" };
        return 0;
}

/* A module with one worker, which serves. */
static int setup(void **state) {
        static unsigned n;
        struct manifest manifest;
        struct candidate *c;
        char name[16];
        int pair[2];

        snprintf(name, sizeof(name), "a%u", ++n);
        manifest_init(&manifest);
        manifest.name = strdup(name);
        manifest.version = strdup("1.0.0");
        manifest.entry = strdup("x.so");
        c = candidate_new(module_get(&m, name), &manifest, "", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        assert_non_null(c);
        c->file = &file;
        i = instance_start(c);
        assert_non_null(i);
        assert_int_equal(fd_socketpair(pair), 0);
        worker = pair[1];
        i->id = n;
        i->link = pair[0];
        i->page_fd = page_new_fd();
        assert_int_equal(page_open_writer(i->page_fd, n, &page), 0);
        assert_int_equal(instance_listen(i), 0);
        i->state = INSTANCE_STARTING;
        instance_open_page(i);
        instance_on_level(i, PAGE_READY);
        assert_int_equal(i->state, INSTANCE_READY);
        return 0;
}

/* Nothing of it may concern the next one. */
static int teardown(void **state) {
        struct candidate *c = i->candidate;

        fd_close(worker);
        TAILQ_REMOVE(&c->instances, i, entry);
        instance_free(i);
        c->file = NULL;
        candidate_free(c);
        return 0;
}

static void rests(void) {
        assert_true(instance_rest(i));
        assert_int_equal(i->state, INSTANCE_RETIRING);
}

/* The worker had heard of the drain when it was told to serve again, and what it said to that came afterwards: from then on
 * whatever replaced it was believed to be alone at once. */
static void test_what_it_said_before_is_not_said_of_now(void **state) {
        rests();
        instance_resume(i);
        instance_on_level(i, PAGE_DRAINING);
        instance_on_level(i, PAGE_DRAINED);
        instance_on_level(i, PAGE_READY);
        assert_int_equal(i->state, INSTANCE_READY);
        assert_false(instance_refuses(i));
}

static void test_who_is_being_killed_does_not_rest(void **state) {
        rests();
        instance_on_level(i, PAGE_DRAINED);
        assert_int_equal(i->state, INSTANCE_STANDBY);
        assert_ptr_equal(replicas_resting(i->candidate), i);
        instance_on_level(i, PAGE_STOPPED);
        assert_int_equal(i->state, INSTANCE_KILLED);
        assert_null(replicas_resting(i->candidate));
}

/* What it had begun before it rested is under way still. */
static void test_who_is_let_go_before_it_serves_again_is_drained(void **state) {
        rests();
        instance_resume(i);
        instance_retire(i);
        assert_int_equal(i->state, INSTANCE_RETIRING);
        instance_on_level(i, PAGE_READY);
        instance_on_level(i, PAGE_DRAINING);
        assert_int_equal(i->state, INSTANCE_DRAINING);
        assert_true(instance_refuses(i));
}

/* It was stopping already when another manager told it to serve. */
static void test_who_has_stopped_is_not_waited_for(void **state) {
        rests();
        instance_on_level(i, PAGE_DRAINED);
        instance_resume(i);
        instance_on_level(i, PAGE_STOPPED);
        assert_int_equal(i->state, INSTANCE_KILLED);
}

/* It had not read yet what a former manager has told it; its drain-timeout was waited for. */
static void test_who_had_been_told_to_drain_before_is_not_waited_for(void **state) {
        page_set_level(page, PAGE_DRAINED);
        instance_on_level(i, PAGE_DRAINING);
        instance_on_level(i, PAGE_DRAINED);
        assert_int_equal(i->state, INSTANCE_READY);
        instance_retire(i);
        assert_int_equal(i->state, INSTANCE_STOPPING);
}

/* Its closed link was forgotten with that, and it stood in the directory for ever. */
static void test_who_closes_his_link_while_it_is_waited_for_is_ended(void **state) {
        const struct timeval patience = { .tv_sec = 30 };

        event_base_loopexit(m.loop, &patience);
        i->settles = true;
        i->quiescence.since_ns = clock_now_ns() - NS_PER_S;
        worker = fd_close(worker);
        while (i->state == INSTANCE_READY && !event_base_got_exit(m.loop))
                event_base_loop(m.loop, EVLOOP_ONCE);
        assert_int_equal(i->state, INSTANCE_KILLED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_what_it_said_before_is_not_said_of_now),
                T(test_who_is_being_killed_does_not_rest),
                T(test_who_is_let_go_before_it_serves_again_is_drained),
                T(test_who_has_stopped_is_not_waited_for),
                T(test_who_had_been_told_to_drain_before_is_not_waited_for),
                T(test_who_closes_his_link_while_it_is_waited_for_is_ended),
        };

        return cmocka_run_group_tests(tests, setup_all, NULL);
}
