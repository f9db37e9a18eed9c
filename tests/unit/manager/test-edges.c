/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges between instances as the manager negotiates them: the test is the
 * workers at the other ends of their links.
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
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/edge-sweep.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/outbox.h"

static struct manager m;
static struct drop_file file;
static int base;

struct peer {
        struct instance *instance;
        int link; /* the worker's end */
};
static struct peer caller, other, a, b;

static int setup_all(void **state) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        base = pair[1];
        m = (struct manager){ .loop = event_base_new(), .base_link = pair[0], .installer_link = -1, .next_request = 1, .packages = -1 };
        m.log = m.state = -1;
        m.next_edge = 1;
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        TAILQ_INIT(&m.pending_edges);
        TAILQ_INIT(&m.adopted);
        operation_list_init(&m.operations);
        base_config_init(&m.config);
        outbox_start(m.loop);
        assert_int_equal(directory_writer_new(&m.directory, 1), 0);
        assert_int_equal(base_link_start(&m), 0);
        file = (struct drop_file){ .manager = &m, .name = "a-1.0.0.smod" };
        return 0;
}

/* A module of that name with one worker that is ready; it provides a service of its name and may call all. */
static struct peer peer_new(const char *name, uint64_t id) {
        char text[300], error[300];
        struct manifest manifest;
        struct candidate *c;
        struct peer p;
        int pair[2];

        snprintf(text, sizeof(text), "[module]\nname = %s\nversion = 1.0.0\nentry = x.so\n[services]\n%s = go\n[calls]\nallow = a%u, b%u\n",
                 name, name, (unsigned)(id / 10), (unsigned)(id / 10));
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
        p.instance->state = INSTANCE_READY;
        return p;
}

static int setup(void **state) {
        static unsigned n;
        char name[32];

        n++;
        snprintf(name, sizeof(name), "caller%u", n);
        caller = peer_new(name, n * 10 + 1);
        snprintf(name, sizeof(name), "other%u", n);
        other = peer_new(name, n * 10 + 2);
        snprintf(name, sizeof(name), "a%u", n);
        a = peer_new(name, n * 10 + 3);
        snprintf(name, sizeof(name), "b%u", n);
        b = peer_new(name, n * 10 + 4);
        return 0;
}

static void die(struct peer *p) {
        edges_forget(&m, p->instance, ERROR_PEER_DIED);
        p->instance->state = INSTANCE_KILLED;
        p->instance->id = 0;
        p->instance->sweep.open = false;
        p->link = fd_close(p->link);
}

static int teardown(void **state) {
        die(&caller);
        die(&other);
        die(&a);
        die(&b);
        assert_true(TAILQ_EMPTY(&m.pending_edges));
        return 0;
}

static void ask(struct peer *from, struct peer *to, uint64_t request) {
        struct control_record record = { .header = { .kind = CONTROL_KIND_EDGE_REQUEST, .request = request },
                                         .EDGE_REQUEST.target = to->instance->id,
                                         .n_fds = 2 };

        assert_int_equal(fd_pipe(record.fds), 0);
        edges_on_request(&m, from->instance, &record);
        control_record_deinit(&record);
}

/* The next record for it, which must be of that kind; its descriptors are closed. */
static struct control_record told(struct peer *p, enum control_kind kind) {
        uint64_t end = clock_now_ns() + 30 * NS_PER_S;
        struct control_record record;
        int r;

        while ((r = control_receive(p->link, CONTROL_MANAGER, CONTROL_WORKER, &record)) == CONTROL_E_AGAIN && clock_now_ns() < end)
                event_base_loop(m.loop, EVLOOP_ONCE);
        assert_int_equal(r, 0);
        assert_string_equal(control_kind_name(record.header.kind), control_kind_name(kind));
        control_record_deinit(&record);
        return record;
}

static void told_nothing(struct peer *p) {
        struct control_record record;

        assert_int_equal(control_receive(p->link, CONTROL_MANAGER, CONTROL_WORKER, &record), CONTROL_E_AGAIN);
}

static void accept_edge(struct peer *p, uint64_t edge) {
        int fds[2];

        assert_int_equal(fd_pipe(fds), 0);
        edges_on_accept(&m, p->instance, edge, fds);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

static void refused(struct peer *p, uint64_t request, int error) {
        struct control_record record = told(p, CONTROL_KIND_EDGE_REFUSED);

        assert_int_equal(record.header.request, request);
        assert_int_equal(record.EDGE_REFUSED.error, error);
}

static void edge_between(struct peer *from, struct peer *to, uint64_t request) {
        ask(from, to, request);
        accept_edge(to, told(to, CONTROL_KIND_EDGE_OFFER).EDGE_OFFER.edge);
        assert_int_equal(told(from, CONTROL_KIND_EDGE_READY).header.request, request);
}

static void test_an_edge(void **state) {
        edge_between(&caller, &a, 1);
        assert_int_equal(caller.instance->n_pending, 0);
        assert_int_equal(a.instance->n_offered, 0);
        assert_int_equal(caller.instance->n_out, 1);
        assert_int_equal(a.instance->n_in, 1);
}

static void test_who_never_answers_counts_against_himself(void **state) {
        uint64_t edge, begin = clock_now_ns();

        ask(&caller, &a, 1);
        assert_int_equal(caller.instance->n_pending, 1);
        refused(&caller, 1, ERROR_TIMEOUT);
        assert_true(clock_now_ns() - begin >= NS_PER_S);
        assert_int_equal(caller.instance->n_pending, 0);
        assert_int_equal(a.instance->n_offered, 1);
        /* he is left alone for a while, whoever asks; nobody waits for that */
        assert_true(a.instance->owes_until_ns >= begin + NS_PER_S);
        a.instance->owes_until_ns = UINT64_MAX;
        ask(&caller, &a, 2);
        refused(&caller, 2, ERROR_TIMEOUT);
        ask(&other, &a, 3);
        refused(&other, 3, ERROR_TIMEOUT);
        edge_between(&caller, &b, 4);
        /* then he is asked again, and so on */
        a.instance->owes_until_ns = clock_now_ns();
        ask(&caller, &a, 5);
        assert_int_equal(a.instance->n_offered, 2);
        refused(&caller, 5, ERROR_TIMEOUT);
        /* an answer says that he has read all up to there */
        told(&a, CONTROL_KIND_EDGE_OFFER);
        edge = told(&a, CONTROL_KIND_EDGE_OFFER).EDGE_OFFER.edge;
        told_nothing(&a);
        accept_edge(&a, edge);
        told_nothing(&caller);
        assert_int_equal(a.instance->n_offered, 0);
        assert_int_equal(a.instance->n_in, 0);
        edge_between(&caller, &a, 6);
}

static void test_it_is_bounded_what_one_owes(void **state) {
        uint32_t n = 0;

        while (a.instance->n_offered < 64 && n < 100) {
                ask(&caller, &a, ++n);
                a.instance->owes_until_ns = 0;
        }
        assert_int_equal(n, 64);
        assert_int_equal(caller.instance->n_pending, 1); /* who asks again does not wait any more */
        ask(&other, &a, 65);
        refused(&other, 65, ERROR_BUSY);
}

static void test_the_end_of_either(void **state) {
        ask(&caller, &a, 1);
        ask(&other, &a, 2);
        die(&caller);
        assert_int_equal(a.instance->n_offered, 2);
        die(&a);
        refused(&other, 2, ERROR_PEER_DIED);
        told_nothing(&other);
}

static void test_a_released_edge_does_not_count(void **state) {
        struct control_record record;

        caller.instance->candidate->manifest.edges = 1;
        edge_between(&caller, &a, 1);
        ask(&caller, &b, 2);
        record = told(&caller, CONTROL_KIND_EDGE_REFUSED);
        assert_int_equal(record.EDGE_REFUSED.limit, EDGE_LIMIT_CALLER);
        edges_on_released(&m, caller.instance, b.instance->id); /* of what it does not have */
        edges_on_released(&m, caller.instance, 4711);
        assert_int_equal(caller.instance->n_out, 1);
        edges_on_released(&m, caller.instance, a.instance->id);
        assert_int_equal(a.instance->n_in, 0);
        edge_between(&caller, &b, 3);
}

static void test_who_has_edges_is_asked_until_he_has_none(void **state) {
        m.config.edge_idle_ms = 20;
        evtimer_del(m.sweep_timer);
        edge_between(&caller, &a, 1);
        told(&caller, CONTROL_KIND_EDGE_SWEEP);
        edge_sweep_swept(&caller.instance->sweep, 1);
        told(&caller, CONTROL_KIND_EDGE_SWEEP);
        /* an answer that crosses with another edge */
        edge_between(&caller, &b, 2);
        edge_sweep_swept(&caller.instance->sweep, 0);
        told(&caller, CONTROL_KIND_EDGE_SWEEP);
        edge_sweep_swept(&caller.instance->sweep, 0);
        while (evtimer_pending(m.sweep_timer, NULL))
                event_base_loop(m.loop, EVLOOP_ONCE);
        told_nothing(&caller);
        told_nothing(&a);
        told_nothing(&other);
}

/* Gateways ----------------------------------------------------------------------------------------------------------------- */

static int gateway_open(uint32_t index, uint64_t id) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        assert_int_equal(fd_set_nonblock(pair[0], true), 0);
        gateway_new(&m, index, id, pair[0]);
        return pair[1];
}

/* Its end, which the manager sees. */
static void gateway_close(int link, uint64_t id) {
        uint64_t end = clock_now_ns() + 30 * NS_PER_S;
        bool found = true;

        close(link);
        while (found && clock_now_ns() < end) {
                const struct gateway *g;

                event_base_loop(m.loop, EVLOOP_ONCE);
                found = false;
                TAILQ_FOREACH(g, &m.gateways, entry)
                found |= g->id == id;
        }
        assert_false(found);
}

static bool counts(uint64_t id) {
        const struct gateway *g;

        TAILQ_FOREACH(g, &m.gateways, entry) {
                if (g->id == id)
                        return !g->superseded;
        }
        fail_msg("no such gateway");
        return false;
}

static void test_the_newest_of_a_place_counts(void **state) {
        int former = gateway_open(0, 1001), neighbour = gateway_open(1, 1002), next = gateway_open(0, 1003);

        assert_true(!counts(1001) && counts(1002) && counts(1003));
        /* One that does not come. */
        gateway_close(next, 1003);
        assert_true(counts(1001) && counts(1002));
        /* One that does. */
        next = gateway_open(0, 1004);
        gateway_close(former, 1001);
        assert_true(counts(1002) && counts(1004));
        /* A new manager is told of them in any order. */
        former = gateway_open(0, 1000);
        assert_true(!counts(1000) && counts(1004));
        gateway_close(former, 1000);
        gateway_close(next, 1004);
        gateway_close(neighbour, 1002);
        assert_true(TAILQ_EMPTY(&m.gateways));
}

static void test_a_gateway_opens_only_what_was_asked_for(void **state) {
        struct control_record record;
        int link = gateway_open(0, 77);

        TAILQ_FIRST(&m.gateways)->sweep.open = true;
        a.instance->gateways = b.instance->gateways = UINT64_MAX;
        edges_on_file_channel(&m, a.instance, 77, 1);
        edges_on_file_channel(&m, a.instance, 77, 2); /* again, for it took long */
        edges_on_file_channel(&m, b.instance, 77, 3);
        told(&a, CONTROL_KIND_FILE_CHANNEL);
        told(&a, CONTROL_KIND_FILE_CHANNEL);
        told(&b, CONTROL_KIND_FILE_CHANNEL);
        for (int n = 0; n < 3; n++) {
                for (uint64_t request = 1; request <= 3; request++)
                        assert_int_equal(CONTROL_SEND(link, FILE_CHANNEL_OPEN, request, NULL, 0, .peer = a.instance->id), 0);
        }
        assert_int_equal(CONTROL_SEND(link, FILE_CHANNEL_OPEN, 3, NULL, 0, .peer = b.instance->id), 0);
        assert_int_equal(told(&b, CONTROL_KIND_FILE_CHANNEL_OPEN).header.request, 3);
        record = told(&a, CONTROL_KIND_FILE_CHANNEL_OPEN);
        assert_int_equal(record.header.request, 2);
        assert_int_equal(record.FILE_CHANNEL_OPEN.peer, 77);
        told_nothing(&a);
        told_nothing(&b);
        /* and again for who asks again */
        edges_on_file_channel(&m, a.instance, 77, 4);
        told(&a, CONTROL_KIND_FILE_CHANNEL);
        assert_int_equal(CONTROL_SEND(link, FILE_CHANNEL_OPEN, 4, NULL, 0, .peer = a.instance->id), 0);
        assert_int_equal(told(&a, CONTROL_KIND_FILE_CHANNEL_OPEN).header.request, 4);
        gateway_close(link, 77);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_an_edge),
                T(test_who_never_answers_counts_against_himself),
                T(test_it_is_bounded_what_one_owes),
                T(test_the_end_of_either),
                T(test_a_released_edge_does_not_count),
                T(test_who_has_edges_is_asked_until_he_has_none),
                cmocka_unit_test(test_the_newest_of_a_place_counts),
                T(test_a_gateway_opens_only_what_was_asked_for),
        };

        return cmocka_run_group_tests(tests, setup_all, NULL);
}
