/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call finds its instance: death, choosing, edges.
 */
#include "tests/unit/module/call-fixture.h"

#include <signal.h>
#include <sched.h>
#include <string.h>

#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/frame.h"

/* Death --------------------------------------------------------------------------------------------------------------- */

static void test_death_of_what_had_begun(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        edge_accept(c.edge, &m);
        die(&c);
        expect(&a, SOCLE_E_PEER_DIED, "store died");
}

/* What was not begun is repeated, idempotent or not, and as often as it takes. */
static void test_death_of_what_had_not_begun(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        for (uint64_t id = 20; id < 23; id++) {
                receive(&c, FRAME_REQUEST, &m);
                die(&c);
                assert_int_equal(a.done, 0);
                take_request(&c);
                refuse_request(&c, ERROR_UNAVAILABLE);
                instances[0].id = id;
                publish(1);
                turns();
                take_edge(&c);
                assert_int_equal(c.instance, id);
        }
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "done");
        expect(&a, 0, "done");
        edge_free(c.edge);
}

static void test_idempotent_is_repeated_once(void **state) {
        struct ask a = { .method = "kv.get" }, b = { .method = "kv.put", .options.idempotent = true };
        struct ask *const both[] = { &a, &b };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        for (int i = 0; i < 2; i++) {
                ask(both[i]);
                receive(&c, FRAME_REQUEST, &m);
                assert_int_equal(m.frame.flags, FRAME_IDEMPOTENT);
                edge_accept(c.edge, &m);
                die(&c);
                assert_int_equal(both[i]->done, 0);
                take_edge(&c);
                receive(&c, FRAME_REQUEST, &m);
                edge_accept(c.edge, &m);
                die(&c);
                expect(both[i], SOCLE_E_PEER_DIED, "died");
                open_edge(&c);
        }
        edge_free(c.edge);
}

/* A reply that was published just before the end counts. */
static void test_reply_before_death(void **state) {
        struct ask a = { .method = "kv.put" };
        struct frame frame = { .kind = FRAME_REPLY };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        edge_accept(c.edge, &m);
        frame.correlation = m.frame.correlation;
        assert_int_equal(edge_send(c.edge, &frame, "\xa4last", 5, NULL), 0);
        edge_flush(c.edge);
        die(&c);
        expect(&a, 0, "last");
}

/* Choosing ------------------------------------------------------------------------------------------------------------ */

static void test_draining_instance(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c, d;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        reply_error_code(&c, m.frame.correlation, ERROR_NOT_STARTED);
        assert_int_equal(a.done, 0);
        assert_true(the_worker.bus.watching);
        instances[0].id = 30;
        publish(1);
        turns();
        take_edge(&d);
        receive(&d, FRAME_REQUEST, &m);
        reply(&d, m.frame.correlation, "other");
        expect(&a, 0, "other");
        edge_free(c.edge);
        edge_free(d.edge);
}

/* Nobody of ours sends it; who does takes no further calls of this directory, and loses none. */
static void test_goaway(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" }, later = { .method = "kv.put" };
        struct edge_message m;
        struct callee c[2];

        publish(2);
        turns();
        ask(&a);
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        receive(&c[0], FRAME_REQUEST, &m);
        send_frame(&c[0], (struct frame){ .kind = FRAME_GOAWAY }, NULL, 0);
        for (int i = 0; i < 3; i++) {
                struct edge_message n;

                memset(&b, 0, sizeof(b));
                b.method = "kv.put";
                ask(&b);
                receive_nothing(&c[0]);
                receive(&c[1], FRAME_REQUEST, &n);
                reply(&c[1], n.frame.correlation, "other");
                expect(&b, 0, "other");
        }
        reply(&c[0], m.frame.correlation, "still");
        expect(&a, 0, "still");
        publish(2);
        turns();
        ask(&later);
        receive(&c[0], FRAME_REQUEST, &m);
        reply(&c[0], m.frame.correlation, "again");
        expect(&later, 0, "again");
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

static void test_overloaded(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" }, alone = { .method = "kv.put" };
        struct callee c;
        struct edge_message m, n;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        ask(&b);
        receive(&c, FRAME_REQUEST, &n);
        /* with one of ours there, its reply shows when there is room */
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        assert_int_equal(b.done, 0);
        reply(&c, m.frame.correlation, "first");
        expect(&a, 0, "first");
        receive(&c, FRAME_REQUEST, &n);
        reply(&c, n.frame.correlation, "second");
        expect(&b, 0, "second");
        /* without there is no telling */
        ask(&alone);
        receive(&c, FRAME_REQUEST, &n);
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        expect(&alone, SOCLE_E_OVERLOADED, "in flight");
        edge_free(c.edge);
}

/* What it has of ours may go on for long, while others end. */
static void test_full_ends_with_time(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" };
        struct edge_message m, n;
        struct callee c;

        open_edge(&c);
        ask(&a);
        ask(&b);
        receive(&c, FRAME_REQUEST, &m);
        receive(&c, FRAME_REQUEST, &n);
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        receive_nothing(&c);
        pass_ms(100);
        receive(&c, FRAME_REQUEST, &n);
        reply(&c, n.frame.correlation, "room");
        expect(&b, 0, "room");
        reply(&c, m.frame.correlation, "first");
        expect(&a, 0, "first");
        edge_free(c.edge);
}

static void test_who_is_refused_first_is_first_again(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put", .size = 10 }, c = { .method = "kv.put", .size = 100 };
        struct edge_message m, n, k;
        struct callee callee;

        open_edge(&callee);
        ask(&a);
        receive(&callee, FRAME_REQUEST, &m);
        ask(&b);
        receive(&callee, FRAME_REQUEST, &n);
        pass_ms(1);
        ask(&c);
        receive(&callee, FRAME_REQUEST, &k);
        reply_error_code(&callee, n.frame.correlation, ERROR_OVERLOADED);
        reply_error_code(&callee, k.frame.correlation, ERROR_OVERLOADED);
        pass_ms(100);
        receive(&callee, FRAME_REQUEST, &n);
        assert_true(n.size < 100);
        reply(&callee, n.frame.correlation, "b");
        receive(&callee, FRAME_REQUEST, &k);
        assert_true(k.size >= 100);
        reply(&callee, k.frame.correlation, "c");
        reply(&callee, m.frame.correlation, "a");
        expect(&a, 0, "a");
        expect(&b, 0, "b");
        expect(&c, 0, "c");
        edge_free(callee.edge);
}

/* Full was taken back by a reply only; when all that was there is given up, there is room too. */
static void test_full_ends_with_the_last_call(void **state) {
        struct ask a = { .method = "kv.put", .options.timeout_ms = 20 }, b = { .method = "kv.put" };
        struct callee c;
        struct edge_message m, n;

        open_edge(&c);
        ask(&a);
        ask(&b);
        receive(&c, FRAME_REQUEST, &m);
        receive(&c, FRAME_REQUEST, &n);
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        pass_ms(20);
        assert_int_equal(a.done, 1);
        receive(&c, FRAME_CANCEL, &n);
        receive(&c, FRAME_REQUEST, &n);
        reply(&c, n.frame.correlation, "room");
        expect(&b, 0, "room");
        edge_free(c.edge);
}

static void test_least_in_flight(void **state) {
        struct ask asks[5];
        struct callee c[2];
        struct edge_message m;

        publish(2);
        turns();
        memset(asks, 0, sizeof(asks));
        for (int i = 0; i < 5; i++)
                asks[i].method = "kv.put";
        ask(&asks[0]);
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        for (int i = 1; i < 4; i++)
                ask(&asks[i]);
        for (int i = 0; i < 4; i++) {
                receive(&c[i / 2], FRAME_REQUEST, &m);
                if (i == 1)
                        reply(&c[0], m.frame.correlation, "x");
        }
        receive_nothing(&c[0]);
        receive_nothing(&c[1]);
        /* one was answered: there is less to do there */
        ask(&asks[4]);
        receive(&c[0], FRAME_REQUEST, &m);
        module.up = 0;
        publish(0);
        module.up = 1;
        die(&c[0]);
        die(&c[1]);
        for (int i = 1; i < 5; i++)
                assert_int_equal(asks[i].done, 1);
}

/* One after the other: which of the two took each of n calls. */
static uint32_t taken_by_first(struct callee c[2], uint32_t n) {
        uint32_t first = 0;

        for (uint32_t i = 0; i < n; i++) {
                struct ask a = { .method = "kv.put" };
                struct edge_message m;
                struct callee *who = &c[0];

                ask(&a);
                edge_on_bell(c[0].edge);
                if (edge_receive(c[0].edge, &m)) {
                        who = &c[1];
                        assert_int_equal(edge_receive(c[1].edge, &m), 0);
                }
                edge_arm(c[0].edge); /* it sleeps here; where the other one does, nobody knows */
                first += who == &c[0];
                reply(who, m.frame.correlation, "x");
                expect(&a, 0, "x");
        }
        return first;
}

static void test_of_equals_the_near_one(void **state) {
        struct ask a = { .method = "kv.put" };
        struct edge_message m;
        struct callee c[2];
        cpu_set_t before, here;

        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        CPU_ZERO(&here);
        CPU_SET((size_t)sched_getcpu(), &here);
        assert_int_equal(sched_setaffinity(0, sizeof(here), &here), 0);
        publish(2);
        turns();
        ask(&a);
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        receive(&c[0], FRAME_REQUEST, &m);
        reply(&c[0], m.frame.correlation, "x");
        assert_int_equal(taken_by_first(c, 10), 5);
        the_worker.bus.prefer_near = true;
        assert_int_equal(taken_by_first(c, 10), 10);
        edge_free(c[0].edge);
        edge_free(c[1].edge);
        assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void test_refused_edges(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" };
        struct callee c;

        /* the manager is busy: asked again, by a deadline */
        ask(&a);
        take_request(&c);
        refuse_request(&c, ERROR_BUSY);
        take_request(&c);
        refuse_request(&c, ERROR_DENIED);
        expect(&a, SOCLE_E_DENIED, "store");
        ask(&b);
        expect(&b, SOCLE_E_DENIED, "store");
}

/* Nobody waits for a deadline to be told; and whoever calls later finds the room that there is then. */
static void test_limit_of_edges(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" }, later;
        struct callee c;

        ask(&a);
        take_request(&c);
        limit_request(&c, EDGE_LIMIT_CALLER);
        expect(&a, SOCLE_E_UNAVAILABLE, "module.ini [limits] edges of test ");
        ask(&b);
        expect(&b, SOCLE_E_UNAVAILABLE, "module.ini [limits] edges of test ");
        told_nothing();
        assert_int_equal(wait_timeout_ms(), -1);
        do {
                pass_ms(1);
                later = (struct ask){ .method = "kv.put" };
                ask(&later);
        } while (later.done);
        take_request(&c);
        limit_request(&c, EDGE_LIMIT_TARGET);
        expect(&later, SOCLE_E_UNAVAILABLE, "module.ini [limits] edges of store ");
}

/* One instance that cannot be reached is no reason while another can. */
static void test_limit_of_one_of_two(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c[2];
        struct edge_message m;

        publish(2);
        turns();
        ask(&a);
        take_two_requests(c);
        limit_request(&c[0], EDGE_LIMIT_TARGET);
        assert_int_equal(a.done, 0);
        accept_request(&c[1]);
        receive(&c[1], FRAME_REQUEST, &m);
        reply(&c[1], m.frame.correlation, "x");
        expect(&a, 0, "x");
        edge_free(c[1].edge);
}

/* Who names a version that runs beside waits for it, also when nothing is to be expected of the chosen one. */
static void test_a_version_beside_is_there_without_the_chosen_one(void **state) {
        struct ask a = { .method = "kv.put", .options.version = "1.0.0" }, any = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        instances[0].weight = module.up = 0;
        publish_instances();
        turns();
        ask(&a);
        ask(&any);
        expect(&any, SOCLE_E_UNAVAILABLE, "none is expected");
        take_edge(&c);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "beside");
        expect(&a, 0, "beside");
        module.up = 1;
        edge_free(c.edge);
}

/* What the callee refused in a directory says nothing of a newer one, in which it was chosen again. */
static void test_a_refusal_is_of_its_time(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        publish(1);
        turns();
        reply_error_code(&c, m.frame.correlation, ERROR_NOT_STARTED);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "again");
        expect(&a, 0, "again");
        edge_free(c.edge);
}

/* A restarted manager knows nothing of what was asked of the former. */
static void test_another_manager(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee lost, c;
        struct edge_message m;

        ask(&a);
        take_request(&lost);
        directory_writer_free(writer);
        assert_int_equal(directory_writer_new(&writer, 8), 0);
        publish(1);
        send_directory(8);
        turns();
        take_edge(&c);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "again");
        expect(&a, 0, "again");
        fd_close(lost.fds[0]);
        fd_close(lost.fds[1]);
        edge_free(c.edge);
}

/* CHANGED may come when the turn has read the newest already: who still waits must ask again all the same. */
static void test_changed_that_tells_nothing_new(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;

        ask(&a);
        take_request(&c);
        refuse_request(&c, ERROR_UNAVAILABLE);
        publish(0);
        turns(); /* reads it */
        bus_on_changed(&the_worker.bus);
        told(CONTROL_KIND_WATCH);
        publish(1);
        bus_on_changed(&the_worker.bus);
        turns();
        take_edge(&c);
        die(&c);
        take_request(&c); /* it was not begun */
        refuse_request(&c, ERROR_MOVED);
        module.up = 0;
        publish(0);
        module.up = 1;
        turns();
        expect(&a, SOCLE_E_UNAVAILABLE, "none is expected");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_death_of_what_had_begun),
                TEST(test_death_of_what_had_not_begun),
                TEST(test_idempotent_is_repeated_once),
                TEST(test_reply_before_death),
                TEST(test_draining_instance),
                TEST(test_goaway),
                TEST(test_overloaded),
                TEST(test_full_ends_with_time),
                TEST(test_who_is_refused_first_is_first_again),
                TEST(test_full_ends_with_the_last_call),
                TEST(test_least_in_flight),
                TEST(test_of_equals_the_near_one),
                TEST(test_refused_edges),
                TEST(test_limit_of_edges),
                TEST(test_limit_of_one_of_two),
                TEST(test_another_manager),
                TEST(test_a_version_beside_is_there_without_the_chosen_one),
                TEST(test_a_refusal_is_of_its_time),
                TEST(test_changed_that_tells_nothing_new),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
