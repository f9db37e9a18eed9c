/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges of which the test holds the workers' ends, in a gateway without a loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/loop.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/upstream.h"

#define LIMITS EDGE_LIMITS_DEFAULT

static struct gateway gateway, *const g = &gateway;
static struct upstream *upstream;
static struct client client;

struct worker {
        struct edge *edge;
        struct edge_outgoing out;
        struct instance *instance;
};

static int setup(void **state) {
        *g = (struct gateway){ .bus = { .manager.fd = -1, .version = 1 }, .now_ns = 1, .memory_max = gateway_memory(1) };
        TAILQ_INIT(&g->rung);
        TAILQ_INIT(&g->unflushed);
        TAILQ_INIT(&g->touched);
        client = (struct client){ .gateway = g };
        call_table_init(&g->calls);
        upstream = calloc(1, sizeof(*upstream));
        assert_non_null(upstream);
        upstream->gateway = g;
        upstream->present = true;
        strcpy(upstream->module.name, "m");
        TAILQ_INIT(&upstream->instances);
        TAILQ_INIT(&upstream->waiting);
        g->upstreams = upstream;
        return net_new(loop_of_test(), &g->net, &g->no_uring);
}

static int teardown(void **state) {
        struct request *request;

        upstreams_deinit(g);
        call_table_deinit(&g->calls);
        while ((request = g->free_requests)) {
                g->free_requests = request->next_free;
                deadline_deinit(&g->deadlines, &request->deadline);
                free(request);
        }
        deadlines_deinit(&g->deadlines);
        output_pool_deinit(&g->pool);
        g->net = net_free(g->net);
        return 0;
}

static void worker_open(struct worker *w, uint64_t id) {
        struct edge_limits limits = LIMITS;
        int ours[2], theirs[2];

        *w = (struct worker){ .instance = instance_new(upstream, id) };
        assert_non_null(w->instance);
        w->instance->listed = w->instance->active = true;
        assert_int_equal(edge_new(&w->instance->edge, &limits), 0);
        assert_int_equal(edge_new(&w->edge, &limits), 0);
        edge_local_fds(w->instance->edge, ours);
        edge_local_fds(w->edge, theirs);
        assert_int_equal(edge_attach(w->edge, fd_dup(ours[0]), fd_dup(ours[1])), 0);
        assert_true(instance_open(w->instance, fd_dup(theirs[0]), fd_dup(theirs[1])));
        edge_local_sent(w->instance->edge);
        edge_local_sent(w->edge);
}

/* As much of a reply as fits, again and again, but not its end. */
static void send_beginning(struct worker *w, size_t size) {
        static uint8_t data[4u << 20];
        struct frame frame = { .kind = FRAME_REPLY, .correlation = 77 };

        assert_int_equal(edge_send(w->edge, &frame, data, sizeof(data), &w->out), EDGE_E_FULL);
        while (w->instance->n_partial < size) {
                edge_flush(w->edge);
                edge_on_bell(w->instance->edge);
                if (!w->instance->rung) {
                        TAILQ_INSERT_TAIL(&g->rung, w->instance, in_rung);
                        w->instance->rung = true;
                }
                instances_turn(g);
                edge_on_bell(w->edge);
        }
}

static void test_unfinished_replies_are_charged(void **state) {
        struct worker modest, greedy;

        worker_open(&modest, 1);
        worker_open(&greedy, 2);
        send_beginning(&modest, 100000);
        send_beginning(&greedy, 1000000);
        assert_true(g->n_partial >= 1100000);
        assert_int_equal(g->n_partial, modest.instance->n_partial + greedy.instance->n_partial);
        instances_relieve(g);
        assert_int_equal(greedy.instance->state, INSTANCE_OPEN);

        g->n_partial += 512u << 20; /* as if others had as much as all may have */
        instances_relieve(g);
        assert_int_equal(greedy.instance->state, INSTANCE_COLD);
        assert_false(instance_askable(greedy.instance));
        /* who is left is not let off: nothing less would be enough */
        assert_int_equal(modest.instance->state, INSTANCE_COLD);
        assert_int_equal(g->n_partial, 512u << 20);
        edge_free(greedy.edge);
        edge_free(modest.edge);
}

static void test_the_greediest_is_enough(void **state) {
        struct worker modest, greedy;
        uint64_t others;

        worker_open(&modest, 1);
        worker_open(&greedy, 2);
        send_beginning(&modest, 100000);
        send_beginning(&greedy, 1000000);
        others = (512u << 20) - modest.instance->n_partial;
        g->n_partial += others;
        instances_relieve(g);
        assert_int_equal(greedy.instance->state, INSTANCE_COLD);
        assert_int_equal(modest.instance->state, INSTANCE_OPEN);
        instance_close(modest.instance);
        assert_int_equal(g->n_partial, others);
        edge_free(greedy.edge);
        edge_free(modest.edge);
}

static struct request *submit(bool idempotent, const char *version) {
        struct request *request = request_new(g, &client);

        assert_non_null(request);
        request->upstream = upstream;
        request->idempotent = idempotent;
        request->version = version;
        upstream_submit(request, 1000);
        return request;
}

static void worker_expect_request(struct worker *w, struct edge_message *ret_message) {
        edge_on_bell(w->edge);
        assert_int_equal(edge_receive(w->edge, ret_message), 0);
        assert_int_equal(ret_message->frame.kind, FRAME_REQUEST);
}

/* It lives, and reads on what was sent to it: what it had not begun yet is begun by it, and by nobody else. */
static void test_who_is_too_greedy_still_has_what_it_was_sent(void **state) {
        struct request *post, *get;
        struct edge_message message;
        struct worker w;

        worker_open(&w, 1);
        upstream->n_active = 1;
        send_beginning(&w, 100000);
        post = submit(false, NULL);
        get = submit(true, NULL);
        instances_flush(g);
        g->n_partial += 512u << 20;
        instances_relieve(g);
        assert_int_equal(w.instance->state, INSTANCE_COLD);
        worker_expect_request(&w, &message);
        assert_int_equal(post->state, REQUEST_ANSWERED);
        assert_int_equal(get->state, REQUEST_WAITING);
        assert_int_equal(get->repeated, ERROR_PEER_DIED);
        upstream_forget(get);
        request_free(get);
        request_free(post);
        edge_free(w.edge);
}

static void worker_refuse(struct worker *w) {
        struct frame frame = { .kind = FRAME_ERROR, .error = ERROR_NOT_STARTED };
        struct edge_message message;

        instances_flush(g);
        worker_expect_request(w, &message);
        frame.correlation = message.frame.correlation;
        assert_int_equal(edge_send(w->edge, &frame, NULL, 0, &w->out), 0);
        edge_flush(w->edge);
        edge_on_bell(w->instance->edge);
        TAILQ_INSERT_TAIL(&g->rung, w->instance, in_rung);
        w->instance->rung = true;
        instances_turn(g);
}

/* It rested when it refused, and was chosen again before we heard of it: nothing but another directory would show it again. */
static void test_a_refusal_is_of_its_time(void **state) {
        struct request *request;
        struct worker w;

        worker_open(&w, 1);
        upstream->n_active = 1;
        instances_turn(g);
        request = submit(false, NULL);
        g->bus.version += 2;
        worker_refuse(&w);
        assert_int_equal(request->state, REQUEST_SENT);
        worker_refuse(&w);
        assert_int_equal(request->state, REQUEST_WAITING);
        assert_int_equal(w.instance->refused_version, g->bus.version);
        upstream_forget(request);
        request_free(request);
        instance_close(w.instance);

        w.instance->state = INSTANCE_ASKED;
        w.instance->asked_version = g->bus.version++;
        instance_refused(w.instance, ERROR_MOVED);
        assert_true(instance_askable(w.instance));
        edge_free(w.edge);
}

/* Who names a version that is full is no reason for others to wait. */
static void test_who_waits_for_another_version_keeps_nobody(void **state) {
        struct request *named, *any;
        struct worker w, beside;

        worker_open(&w, 1);
        worker_open(&beside, 2);
        upstream->n_active = 1;
        strcpy(beside.instance->version, "2");
        beside.instance->beside = true;
        beside.instance->full_ns = UINT64_MAX / 2;
        named = submit(false, "2");
        assert_int_equal(named->state, REQUEST_WAITING);
        any = submit(false, NULL);
        assert_int_equal(any->state, REQUEST_SENT);
        upstream_forget(named);
        request_free(named);
        upstream_forget(any);
        request_free(any);
        edge_free(w.edge);
        edge_free(beside.edge);
}

static void test_a_version_beside_is_there_without_the_chosen_one(void **state) {
        struct instance *beside = instance_new(upstream, 2);
        struct request *named, *any;

        strcpy(beside->version, "2");
        beside->listed = beside->active = beside->beside = true;
        named = submit(false, "2");
        assert_int_equal(named->state, REQUEST_WAITING);
        upstream_pump(upstream);
        assert_int_equal(named->state, REQUEST_WAITING);
        any = submit(false, NULL);
        assert_int_equal(any->state, REQUEST_ANSWERED);
        upstream_forget(named);
        request_free(named);
        request_free(any);
}

static int worker_says(struct worker *w, enum frame_kind kind, uint8_t flags, uint64_t correlation, uint32_t size) {
        const struct frame frame = { .kind = (uint8_t)kind, .flags = flags, .correlation = correlation, .error = ERROR_INTERNAL };
        static const uint8_t data[4096];
        int r = edge_send(w->edge, &frame, data, size, &w->out);

        edge_flush(w->edge);
        edge_on_bell(w->instance->edge);
        if (!w->instance->rung)
                TAILQ_INSERT_TAIL(&g->rung, w->instance, in_rung);
        w->instance->rung = true;
        instances_turn(g);
        return r;
}

static void test_who_begins_an_answer_that_nobody_waits_for_keeps_its_edge(void **state) {
        struct edge_message message;
        struct request *request;
        uint64_t id;
        struct worker w;

        worker_open(&w, 1);
        upstream->n_active = 1;
        instances_turn(g);
        request = submit(false, NULL);
        instances_flush(g);
        worker_expect_request(&w, &message);
        id = message.frame.correlation;
        upstream_forget(request);
        request_free(request);

        /* It has not read yet that it need not: the head, pieces, and that its handler has failed behind them. */
        assert_int_equal(worker_says(&w, FRAME_REPLY, FRAME_STREAM, id, 100), 0);
        for (uint32_t n = 0; n < FRAME_STREAM_WINDOW; n += 4096)
                assert_int_equal(worker_says(&w, FRAME_DATA, FRAME_STREAM, id, 4096), 0);
        assert_int_equal(w.instance->state, INSTANCE_OPEN);
        assert_int_equal(worker_says(&w, FRAME_ERROR, 0, id, 100), 0);
        assert_int_equal(w.instance->state, INSTANCE_OPEN);

        /* But not for ever. */
        for (int i = 0; i < 10000 && w.instance->state == INSTANCE_OPEN; i++)
                worker_says(&w, FRAME_ERROR, 0, id, 100);
        assert_int_equal(w.instance->state, INSTANCE_COLD);
        edge_free(w.edge);
}

static void test_a_malformed_head_costs_one_request(void **state) {
        struct edge_message message;
        struct request *request;
        struct worker w;
        uint64_t id;

        worker_open(&w, 1);
        upstream->n_active = 1;
        instances_turn(g);
        request = submit(false, NULL);
        instances_flush(g);
        worker_expect_request(&w, &message);
        id = message.frame.correlation;
        assert_int_equal(worker_says(&w, FRAME_REPLY, FRAME_STREAM, id, 100), 0);
        assert_int_equal(request->status, 502);
        assert_int_equal(worker_says(&w, FRAME_DATA, FRAME_STREAM, id, 4096), 0);
        assert_int_equal(worker_says(&w, FRAME_END, FRAME_STREAM, id, 0), 0);
        assert_int_equal(w.instance->state, INSTANCE_OPEN);
        request_free(request);
        edge_free(w.edge);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_unfinished_replies_are_charged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_greediest_is_enough, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_is_too_greedy_still_has_what_it_was_sent, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_refusal_is_of_its_time, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_waits_for_another_version_keeps_nobody, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_version_beside_is_there_without_the_chosen_one, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_begins_an_answer_that_nobody_waits_for_keeps_its_edge, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_malformed_head_costs_one_request, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
