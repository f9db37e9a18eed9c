/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance that is to go, as long as somebody may still choose it: the test
 * writes the callers' pages and reads what the instance is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/shared.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/candidate.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/module.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/publish.h"

#define EPOCH 7u
#define ASLEEP UINT64_MAX

static struct manager m;
static struct drop_file file;
static int base;

struct peer {
        struct instance *instance; /* NULL: a gateway */
        struct gateway *gateway;
        struct page_memory *page;
        int link; /* the peer's end */
};
static struct peer gateway, caller, served;

static int setup_all(void **state) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        base = pair[1];
        m = (struct manager){ .loop = event_base_new(), .base_link = pair[0], .installer_link = -1, .next_request = 1, .packages = -1 };
        m.log = m.state = -1;
        m.next_edge = 1;
        m.hello.epoch = EPOCH;
        m.hello.first_start = 1;
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        TAILQ_INIT(&m.pending_edges);
        TAILQ_INIT(&m.adopted);
        operation_list_init(&m.operations);
        base_config_init(&m.config);
        outbox_start(m.loop);
        assert_int_equal(directory_writer_new(&m.directory, EPOCH), 0);
        assert_int_equal(base_link_start(&m), 0);
        file = (struct drop_file){ .manager = &m, .name = "a-1.0.0.smod" };
        return 0;
}

/* Its page, as the manager reads it. */
static struct page_reader *page_new(struct page_memory **ret_page) {
        struct page_reader *reader;
        int fd = page_new_fd();

        assert_true(fd >= 0);
        assert_int_equal(page_open_writer(fd, 1, ret_page), 0);
        assert_int_equal(page_reader_new(&reader, fd), 0);
        return reader;
}

static void uses(struct peer *p, uint64_t epoch, uint64_t generation) {
        shared_store64(&p->page->generation, directory_stamp(epoch, generation));
}

/* A module of that name with one worker that is ready; it provides a service of its name and may call all. */
static struct peer worker_new(const char *kind, uint64_t id) {
        char text[300], error[300], name[32];
        struct manifest manifest;
        struct candidate *c;
        struct peer p = { 0 };
        int pair[2];

        snprintf(name, sizeof(name), "%s%u", kind, (unsigned)id);
        snprintf(text, sizeof(text), "[module]\nname = %s\nversion = 1.0.0\nentry = x.so\n[services]\n%s = go\n[calls]\nallow = served%u\n",
                 name, name, (unsigned)(id / 10 * 10));
        manifest_init(&manifest);
        assert_int_equal(manifest_parse(&manifest, "test", text, strlen(text), false, error, sizeof(error)), 0);
        c = candidate_new(module_get(&m, name), &manifest, "", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        c->file = &file;
        p.instance = instance_start(c);
        assert_non_null(p.instance);
        assert_int_equal(fd_socketpair(pair), 0);
        p.link = pair[1];
        p.instance->link = pair[0];
        p.instance->id = id;
        p.instance->was_ready = true;
        p.instance->state = INSTANCE_READY;
        p.instance->page = page_new(&p.page);
        c->module->active = c;
        return p;
}

static struct peer gateway_open(uint64_t id) {
        struct peer p = { 0 };
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        gateway_new(&m, 3, id, pair[0]);
        p.link = pair[1];
        p.gateway = TAILQ_FIRST(&m.gateways);
        p.gateway->page = page_new(&p.page);
        return p;
}

/* All know the newest directory, in which `served` serves. */
static int setup(void **state) {
        static unsigned n;

        n++;
        caller = worker_new("caller", n * 10 + 1);
        served = worker_new("served", n * 10);
        gateway = gateway_open(n * 10 + 2);
        publish(&m);
        uses(&caller, EPOCH, m.generation);
        uses(&gateway, EPOCH, m.generation);
        return 0;
}

static void end(struct peer *p) {
        p->link = fd_close(p->link);
        if (p->page)
                munmap(p->page, PAGE_SIZE_TOTAL);
        p->page = NULL;
        if (!p->instance)
                return;
        edges_forget(&m, p->instance, ERROR_PEER_DIED);
        p->instance->candidate->module->active = NULL;
        p->instance->candidate->operation = NULL;
        p->instance->state = INSTANCE_KILLED;
        p->instance->id = 0;
}

static int teardown(void **state) {
        end(&gateway);
        while (!TAILQ_EMPTY(&m.gateways))
                event_base_loop(m.loop, EVLOOP_ONCE);
        end(&caller);
        end(&served);
        return 0;
}

/* The next record for it of that kind; others are passed over, descriptors closed. */
static struct control_record told(struct peer *p, enum control_kind kind) {
        uint64_t until = clock_now_ns() + 10 * NS_PER_S;
        struct control_record record;

        while (clock_now_ns() < until) {
                int r = control_receive(p->link, CONTROL_MANAGER, p->instance ? CONTROL_WORKER : CONTROL_GATEWAY, &record);

                if (r == CONTROL_E_AGAIN) {
                        event_base_loop(m.loop, EVLOOP_ONCE);
                        continue;
                }
                assert_int_equal(r, 0);
                control_record_deinit(&record);
                if (record.header.kind == kind)
                        return record;
        }
        fail();
        return record;
}

static void ask(struct peer *from, uint64_t request) {
        int fds[2];

        assert_int_equal(fd_pipe(fds), 0);
        if (from->instance) {
                struct control_record record = { .header = { .kind = CONTROL_KIND_EDGE_REQUEST, .request = request },
                                                 .EDGE_REQUEST.target = served.instance->id,
                                                 .n_fds = 2 };

                memcpy(record.fds, fds, sizeof(fds));
                edges_on_request(&m, from->instance, &record);
                control_record_deinit(&record);
                return;
        }
        CONTROL_SEND(from->link, EDGE_REQUEST, request, fds, 2, .target = served.instance->id);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

static void edge_from(struct peer *from) {
        uint64_t edge;
        int fds[2];

        ask(from, 1);
        edge = told(&served, CONTROL_KIND_EDGE_OFFER).EDGE_OFFER.edge;
        assert_int_equal(fd_pipe(fds), 0);
        edges_on_accept(&m, served.instance, edge, fds);
        fd_close(fds[0]);
        fd_close(fds[1]);
        told(from, CONTROL_KIND_EDGE_READY);
}

static void refused(struct peer *p, uint64_t request, int error) {
        struct control_record record = told(p, CONTROL_KIND_EDGE_REFUSED);

        assert_int_equal(record.header.request, request);
        assert_int_equal(record.EDGE_REFUSED.error, error);
}

/* As lifecycle.c does it. */
static struct operation *retire(void) {
        struct module *mod = served.instance->candidate->module;
        struct operation *op = operation_new(&m.operations, OPERATION_DEPLOY, mod->name, "");

        mod->active->operation = op;
        instance_retire(served.instance);
        return op;
}

/* Likewise; however long the test takes, nobody is given up. */
static void retire_patiently(void) {
        retire();
        served.instance->quiescence.since_ns = UINT64_MAX;
}

static void still_leaves(void) {
        /* as often as the loop is looked at, which is at least twice */
        event_base_loop(m.loop, EVLOOP_ONCE);
        event_base_loop(m.loop, EVLOOP_NONBLOCK);
        assert_int_equal(served.instance->state, INSTANCE_LEAVING);
}

/* Tests ---------------------------------------------------------------------------------------------------------------- */

static void test_it_is_published_and_who_has_no_edge_is_not_waited_for(void **state) {
        uint64_t before = m.generation;
        struct operation *op = retire();

        assert_int_equal(served.instance->state, INSTANCE_RETIRING); /* at once */
        assert_int_equal(m.generation, before + 1);
        told(&served, CONTROL_KIND_DRAIN);
        assert_int_equal(op->n_waited_for, 0);
        assert_false(instance_refuses(served.instance)); /* it has not said so yet */
}

static void test_who_uses_the_new_one_or_sleeps_is_not_waited_for(void **state) {
        edge_from(&caller);
        edge_from(&gateway);
        uses(&caller, EPOCH, m.generation + 1);
        shared_store64(&gateway.page->generation, ASLEEP);
        retire();
        assert_int_equal(served.instance->state, INSTANCE_RETIRING);
}

static void test_who_uses_the_old_one_is_waited_for(void **state) {
        edge_from(&caller);
        edge_from(&gateway);
        retire_patiently();
        still_leaves();
        uses(&caller, EPOCH, m.generation);
        still_leaves();
        uses(&gateway, EPOCH, m.generation);
        told(&served, CONTROL_KIND_DRAIN);
}

static void test_who_hangs_is_named_and_waited_for_a_moment_only(void **state) {
        uint64_t begin = clock_now_ns();
        struct operation *op;

        edge_from(&caller);
        edge_from(&gateway);
        op = retire();
        told(&served, CONTROL_KIND_DRAIN);
        assert_true(clock_now_ns() - begin >= 250 * NS_PER_MS);
        assert_int_equal(op->n_waited_for, 2);
        assert_string_equal(op->waited_for[0].caller, "gateway-4");
        assert_int_equal(op->waited_for[0].instance, gateway.gateway->id);
        assert_ptr_equal(strstr(op->waited_for[1].caller, "caller"), op->waited_for[1].caller);
        assert_non_null(strstr(op->waited_for[1].caller, " 1.0.0"));
}

static void test_a_short_drain_timeout_is_not_exceeded(void **state) {
        struct operation *op;

        edge_from(&caller);
        served.instance->candidate->manifest.drain_timeout_ms = 5;
        op = retire();
        told(&served, CONTROL_KIND_DRAIN);
        assert_int_equal(op->n_waited_for, 1);
        assert_true(op->waited_for[0].ms >= 5);
}

static void test_the_death_of_who_is_waited_for(void **state) {
        edge_from(&caller);
        edge_from(&gateway);
        retire_patiently();
        still_leaves();
        gateway.link = fd_close(gateway.link);
        edges_forget(&m, caller.instance, ERROR_PEER_DIED);
        told(&served, CONTROL_KIND_DRAIN);
        assert_true(TAILQ_EMPTY(&m.gateways));
}

/* Whose directory is a former manager's has not seen this one's, however many generations that one had. */
static void test_generations_of_a_former_manager_are_older(void **state) {
        edge_from(&gateway);
        uses(&gateway, EPOCH - 1, m.generation + 1000);
        retire_patiently();
        still_leaves();
        uses(&gateway, EPOCH, m.generation);
        told(&served, CONTROL_KIND_DRAIN);
}

/* Neither manager nor caller can know what a former manager has made. */
static void test_adopted_ones_may_have_edges(void **state) {
        served.instance->adopted = caller.instance->adopted = caller.instance->sweep.open = true;
        served.instance->gateways = UINT64_MAX;
        gateway.gateway->sweep.open = true;
        uses(&gateway, EPOCH, m.generation + 1);
        retire_patiently();
        still_leaves();
        uses(&caller, EPOCH, m.generation);
        told(&served, CONTROL_KIND_DRAIN);
}

static void test_new_and_pending_edges_are_answered_moved(void **state) {
        edge_from(&gateway);
        ask(&caller, 2);
        told(&served, CONTROL_KIND_EDGE_OFFER);
        retire_patiently();
        refused(&caller, 2, ERROR_MOVED);
        assert_int_equal(served.instance->n_offered, 0);
        ask(&caller, 3);
        refused(&caller, 3, ERROR_MOVED);
        ask(&gateway, 4);
        refused(&gateway, 4, ERROR_MOVED);
        still_leaves();
        uses(&gateway, EPOCH, m.generation);
        told(&served, CONTROL_KIND_DRAIN);
        ask(&caller, 5);
        refused(&caller, 5, ERROR_MOVED);
}

static void test_who_may_still_answer(void **state) {
        struct instance *i = served.instance;

        retire();
        assert_false(instance_refuses(i));
        instance_kill(i, "a test");
        assert_false(instance_refuses(i)); /* until it is gone: it had been ready */
        i->was_ready = false;
        assert_true(instance_refuses(i));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_it_is_published_and_who_has_no_edge_is_not_waited_for),
                T(test_who_uses_the_new_one_or_sleeps_is_not_waited_for),
                T(test_who_uses_the_old_one_is_waited_for),
                T(test_who_hangs_is_named_and_waited_for_a_moment_only),
                T(test_a_short_drain_timeout_is_not_exceeded),
                T(test_the_death_of_who_is_waited_for),
                T(test_generations_of_a_former_manager_are_older),
                T(test_adopted_ones_may_have_edges),
                T(test_new_and_pending_edges_are_answered_moved),
                T(test_who_may_still_answer),
        };

        return cmocka_run_group_tests(tests, setup_all, NULL);
}
