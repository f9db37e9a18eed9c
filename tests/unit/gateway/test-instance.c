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
#include "ipc/fd.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/upstream.h"

#define LIMITS EDGE_LIMITS_DEFAULT

static struct gateway gateway, *const g = &gateway;
static struct upstream *upstream;

struct worker {
        struct edge *edge;
        struct edge_outgoing out;
        struct instance *instance;
};

static int setup(void **state) {
        *g = (struct gateway){ .bus.manager.fd = -1, .now_ns = 1, .memory_max = gateway_memory(1) };
        TAILQ_INIT(&g->rung);
        TAILQ_INIT(&g->unflushed);
        call_table_init(&g->calls);
        upstream = calloc(1, sizeof(*upstream));
        assert_non_null(upstream);
        upstream->gateway = g;
        upstream->present = true;
        strcpy(upstream->module.name, "m");
        TAILQ_INIT(&upstream->instances);
        TAILQ_INIT(&upstream->waiting);
        g->upstreams = upstream;
        return net_new(&g->net);
}

static int teardown(void **state) {
        upstreams_deinit(g);
        call_table_deinit(&g->calls);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_unfinished_replies_are_charged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_greediest_is_enough, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
