/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's edges: how they are offered, how they end, and who dies on them.
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/edge-layout.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "serve-fixture.h"

/* A caller that dies takes its connection along, but only when its last request has ended. */
static void test_caller_dies(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/sleeps", "");
        turn(0);
        w->caller = edge_free(w->caller);
        turn(0);
        /* Its sleep is cancelled, and may have ended with this very turn. */
        assert_true(!the_worker.connections == !in_flight());
        assert_true(!the_worker.connections || !the_worker.connections->edge);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_null(the_worker.connections);
}

static void test_caller_dies_with_replies_queued(void **state) {
        struct world *w = *state;

        send_request(w, 1, "/large", "");
        turn(0);
        assert_int_equal(the_worker.connections->n_sending, 1);
        w->caller = edge_free(w->caller);
        turn(0);
        assert_null(the_worker.connections);
}

/* Nothing more is read of him, so that his end is not found where it is read. */
static void test_caller_dies_stalled(void **state) {
        struct world *w = *state;
        uint64_t id = 0;

        while (the_worker.connections->n_sending < 256) {
                send_request(w, ++id, "/large", "");
                turn(0);
        }
        send_request(w, ++id, "/hello", "");
        turn(0);
        assert_int_equal(the_worker.connections->n_sending, 256);
        w->caller = edge_free(w->caller);
        turn(0);
        assert_null(the_worker.connections);
}

static void test_a_cast_outlives_its_edge(void **state) {
        struct world *w = *state;
        struct frame cast = { .kind = FRAME_CAST, .method = 3, .correlation = 1 };

        long_result = -1;
        assert_int_equal(edge_send(w->caller, &cast, "\xc0", 1, NULL), 0);
        assert_int_equal(edge_flush(w->caller), 0);
        turn(0);
        assert_int_equal(in_flight(), 1);
        connection_end(7);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_int_equal(long_result, 0);
        assert_null(the_worker.connections);
}

static void test_who_offers_again_has_one_edge(void **state) {
        struct world *w = *state;
        struct edge *first = TAKE_PTR(w->caller);
        struct edge_message m;

        offer(w, 7);
        turn(0);
        assert_null(the_worker.connections->next);
        edge_on_bell(first);
        assert_int_equal(edge_receive(first, &m), EDGE_E_CLOSED);
        edge_free(first);
}

static void test_the_end_of_an_edge_while_busy(void **state) {
        struct world *w = *state;
        struct edge_message m;

        send_request(w, 1, "/sleeps", "");
        send_request(w, 2, "/large", "");
        turn(0);
        connection_end(7);
        connection_end(7);
        connection_end(99);
        assert_non_null(the_worker.connections);
        while (in_flight())
                turn(wait_timeout_ms());
        assert_null(the_worker.connections);
        edge_on_bell(w->caller);
        while (edge_receive(w->caller, &m) != EDGE_E_CLOSED)
                ;
}

static void test_draining_takes_no_edge(void **state) {
        struct world *w = *state;
        struct control_record record;
        int pipes[2];

        the_worker.draining = true;
        assert_int_equal(fd_pipe(pipes), 0);
        connection_offer(&OFFER(8), memfd_new("x", 0), pipes[0]);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_REJECT);
        assert_int_equal(record.EDGE_REJECT.error, ERROR_MOVED);
        assert_int_equal(write(pipes[1], "", 1), -1); /* nobody reads it */
        close(pipes[1]);
}

static void test_bad_offer(void **state) {
        struct world *w = *state;
        struct control_record record;
        int pipes[2];

        assert_int_equal(fd_pipe(pipes), 0);
        connection_offer(&OFFER(8), memfd_new("x", 4096), pipes[0]);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_POISONED);
        assert_int_equal(record.EDGE_POISONED.peer, 8);
        assert_int_equal(record.EDGE_POISONED.reason, VIOLATION_MEMORY);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_REJECT);
        assert_int_equal(record.EDGE_REJECT.edge, 8);
        assert_int_equal(record.EDGE_REJECT.error, ERROR_BAD_REQUEST);
        assert_null(the_worker.connections->next);
        close(pipes[1]);
}

/* The offer fails after its bell was watched, and the peer keeps a copy of the bell: it must ring for nobody. */
static void test_failed_offer_is_not_watched(void **state) {
        struct world *w = *state;
        struct epoll_event event;
        struct edge *other;
        int fds[2], kept;

        while (CONTROL_SEND(w->link[0], LEVEL, 0, NULL, 0, .level = 1) == 0)
                ;
        assert_int_equal(edge_new(&other, &LIMITS), 0);
        edge_local_fds(other, fds);
        kept = fd_dup(fds[1]);
        connection_offer(&OFFER(8), fd_dup(fds[0]), fd_dup(fds[1]));
        assert_int_equal(the_worker.connections->id, 7);
        assert_null(the_worker.connections->next);
        while (epoll_wait(the_worker.epoll, &event, 1, 0) > 0)
                assert_ptr_equal(event.data.ptr, the_worker.connections);
        edge_free(other); /* a hang-up of the bell would be an event */
        assert_int_equal(epoll_wait(the_worker.epoll, &event, 1, 0), 0);
        fd_close(kept);
}

static void test_poison_closes(void **state) {
        struct world *w = *state;
        struct control_record record;
        struct edge_side *side;
        int fds[2], pipes[2];
        void *map;

        /* a peer made by hand that lies about its tail */
        fds[0] = memfd_new("liar", EDGE_DATA_OFFSET + 4096);
        assert_int_equal(memfd_map_rw(fds[0], EDGE_DATA_OFFSET + 4096, &map), 0);
        side = map;
        side->magic = EDGE_MAGIC;
        side->version = EDGE_VERSION;
        side->ring_size = 4096;
        assert_int_equal(memfd_seal(fds[0], MEMFD_SEALS_BUS), 0);
        assert_int_equal(fd_pipe(pipes), 0);
        connection_offer(&OFFER(9), fds[0], pipes[0]);
        assert_int_equal(the_worker.connections->id, 9);
        shared_store64(&side->tail, 1 << 20);
        turn(0);
        assert_int_equal(the_worker.connections->id, 7);
        do
                assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        while (record.header.kind != CONTROL_KIND_EDGE_POISONED && (control_record_deinit(&record), true));
        assert_int_equal(record.EDGE_POISONED.peer, 9);
        assert_int_equal(record.EDGE_POISONED.reason, VIOLATION_TAIL);
        /* and its neighbour is none the worse */
        send_request(w, 1, "/hello", "");
        expect_reply(w, 1, 200, "hello world");
        munmap(map, EDGE_DATA_OFFSET + 4096);
        close(pipes[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_caller_dies),
                TEST(test_caller_dies_with_replies_queued),
                TEST(test_caller_dies_stalled),
                TEST(test_a_cast_outlives_its_edge),
                TEST(test_who_offers_again_has_one_edge),
                TEST(test_the_end_of_an_edge_while_busy),
                TEST(test_draining_takes_no_edge),
                TEST(test_bad_offer),
                TEST(test_failed_offer_is_not_watched),
                TEST(test_poison_closes),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
