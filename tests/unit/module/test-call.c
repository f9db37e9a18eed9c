/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: what is sent, what comes back, what is inherited, what cuts them short.
 */
#include "tests/unit/module/call-fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/frame.h"
#include "ipc/trace.h"
#include "libmodule/provider.h"
#include "libmodule/target.h"

/* Calls --------------------------------------------------------------------------------------------------------------- */

static void test_call(void **state) {
        struct ask a = { .method = "kv.put", .size = 3 }, b = { .method = "idx.find" };
        struct callee c;
        struct edge_message m;

        ask(&a);
        assert_int_equal(a.done, 0);
        take_edge(&c);
        assert_int_equal(c.instance, 11);
        receive(&c, FRAME_REQUEST, &m);
        assert_int_equal(m.frame.method, 2);
        assert_int_equal(m.frame.flags, 0);
        assert_int_equal(m.size, 5);
        assert_true(m.frame.deadline > clock_now_ns() && m.frame.deadline < clock_now_ns() + 6 * NS_PER_S);
        reply(&c, m.frame.correlation, "hello");
        expect(&a, 0, "hello");
        /* the edge is there now: nobody is asked again */
        ask(&b);
        told_nothing();
        receive(&c, FRAME_REQUEST, &m);
        assert_int_equal(m.frame.method, 3);
        reply(&c, m.frame.correlation, "found");
        expect(&b, 0, "found");
        assert_int_equal(wait_timeout_ms(), -1);
        edge_free(c.edge);
}

static void test_refused_at_once(void **state) {
        struct ask denied = { .method = "mail.send" }, denied2 = { .method = "idx.drop" }, none = { .method = "kv.none" },
                   service = { .method = "kv" }, large = { .method = "kv.put", .size = 70 << 10 },
                   version = { .method = "kv.get", .options.version = "2.0.0" };

        ask(&denied);
        expect(&denied, SOCLE_E_DENIED, "mail.send: module.ini [calls] allow does not list it");
        ask(&denied2);
        expect(&denied2, SOCLE_E_DENIED, "idx.drop");
        ask(&none);
        expect(&none, SOCLE_E_NO_METHOD, "kv.none");
        ask(&service);
        assert_int_equal(service.result, -EINVAL);
        ask(&large);
        expect(&large, SOCLE_E_TOO_LARGE, "max-message");
        ask(&version);
        expect(&version, SOCLE_E_UNAVAILABLE, "2.0.0");
        module.n_methods = 1; /* of kv, only get */
        publish(1);
        module.n_methods = 3;
        turns();
        ask(&(struct ask){ .method = "idx.find" });
        told_nothing();
}

static void test_no_service(void **state) {
        struct directory_table empty = { 0 };
        struct ask a = { .method = "kv.get" }, b = { .method = "kv.get" };

        ask(&a);
        told(CONTROL_KIND_EDGE_REQUEST);
        /* the module goes while the call waits for it */
        directory_publish(writer, &empty);
        turns();
        expect(&a, SOCLE_E_NO_SERVICE, "gone");
        ask(&b);
        expect(&b, SOCLE_E_NO_SERVICE, "kv.get");
}

static void test_outside_of_coroutines(void **state) {
        struct socle_result *r;

        assert_int_equal(socle_call("kv.get", NULL, NULL, &r), -EDEADLK);
        assert_int_equal(socle_cast("kv.get", NULL, NULL), -EDEADLK);
}

/* Called before the manager's directory has come: it waits for that. */
static void test_before_the_directory(void **state) {
        struct ask a = { .method = "kv.get" }, late = { .method = "kv.get", .options.timeout_ms = 1 };
        struct callee c;
        struct edge_message m;

        bus_deinit(&the_worker.bus);
        ask(&a);
        ask(&late);
        told_nothing();
        assert_int_equal(late.done, 0);
        pass_ms(1);
        expect(&late, SOCLE_E_UNAVAILABLE, "deadline");
        send_directory(7);
        turns();
        take_edge(&c);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "at last");
        expect(&a, 0, "at last");
        edge_free(c.edge);
}

static void test_answers_that_are_none(void **state) {
        static const struct {
                const char *bytes;
                uint32_t size;
                uint16_t error;
                int result;
                const char *words;
        } cases[] = {
                { "\xc1", 1, 0, SOCLE_E_BAD_REPLY, "well-formed" },
                { "\xa5hell", 5, 0, SOCLE_E_BAD_REPLY, "well-formed" },
                { "\xc0\xc0", 2, 0, SOCLE_E_BAD_REPLY, "well-formed" },
                { "", 0, 0, 0, "" }, /* nil */
                { "\xa4gone", 5, ERROR_NOT_FOUND, SOCLE_E_NOT_FOUND, "gone" },
                { "\x01", 1, ERROR_NOT_FOUND, SOCLE_E_NOT_FOUND, "there is no such thing" },
                { "", 0, 4711, SOCLE_E_INTERNAL, "handler failed" },
                { "", 0, ERROR_TIMEOUT, SOCLE_E_TIMEOUT, "deadline" },
        };
        struct callee c;

        open_edge(&c);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct ask a = { .method = "kv.put" };
                struct edge_message m;

                ask(&a);
                receive(&c, FRAME_REQUEST, &m);
                send_frame(&c,
                           (struct frame){ .kind = cases[i].error ? FRAME_ERROR : FRAME_REPLY,
                                           .correlation = m.frame.correlation,
                                           .error = cases[i].error },
                           cases[i].size ? cases[i].bytes : NULL, cases[i].size);
                expect(&a, cases[i].result, cases[i].words);
        }
        edge_free(c.edge);
}

/* Whoever answers what nobody asked keeps a caller busy for nothing: the first invention ends it. */
static void test_invented_answers(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation + 1, "lie");
        expect(&a, SOCLE_E_BAD_REPLY, "protocol");
        edge_on_bell(c.edge);
        assert_int_equal(edge_receive(c.edge, &m), EDGE_E_CLOSED);
        edge_free(c.edge);
}

static void test_timeout(void **state) {
        struct ask a = { .method = "kv.put", .options.timeout_ms = 1 }, b = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;
        uint64_t late;

        open_edge(&c);
        ask(&a);
        assert_int_equal(wait_timeout_ms(), 1);
        receive(&c, FRAME_REQUEST, &m);
        late = m.frame.correlation;
        pass_ms(1);
        expect(&a, SOCLE_E_TIMEOUT, "no answer");
        told(CONTROL_KIND_TIMED_OUT);
        receive(&c, FRAME_CANCEL, &m);
        assert_int_equal(m.frame.correlation, late);
        /* its answer may have been on its way: one more is dropped */
        reply(&c, late, "late");
        ask(&b);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "next");
        expect(&b, 0, "next");
        /* but not two */
        reply(&c, late, "late");
        edge_on_bell(c.edge);
        assert_int_equal(edge_receive(c.edge, &m), EDGE_E_CLOSED);
        edge_free(c.edge);
}

/* What begins late ends no later than the request that it is for; lane and trace go along. */
static void test_what_is_inherited(void **state) {
        struct task task = { .frame = { .flags = FRAME_LANE | FRAME_IDEMPOTENT, .lane = 5, .parent_span = 9, .trace = { 1, 2 } } };
        struct ask a = { .method = "kv.put", .task = &task, .options.timeout_ms = 60000 }, b = { .method = "kv.put", .task = &task };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        task.frame.deadline = clock_now_ns() + 10 * NS_PER_S;
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        assert_true(m.frame.deadline == task.frame.deadline);
        assert_int_equal(m.frame.flags, FRAME_LANE);
        assert_int_equal(m.frame.lane, 5);
        assert_true(task.span && m.frame.parent_span == task.span); /* its own is what it calls by */
        assert_memory_equal(m.frame.trace, task.frame.trace, 16);
        reply(&c, m.frame.correlation, "x");
        expect(&a, 0, "x");
        task.frame.deadline = 1;
        ask(&b);
        expect(&b, SOCLE_E_TIMEOUT, "before it was sent");
        receive_nothing(&c);
        arena_deinit(&task.arena);
        edge_free(c.edge);
}

static void test_cancelled(void **state) {
        struct task task = { 0 };
        struct ask a = { .method = "kv.put", .task = &task }, b = { .method = "kv.put", .task = &task };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        task_cancel(&task);
        turns();
        expect(&a, SOCLE_E_CANCELLED, "cancelled");
        receive(&c, FRAME_CANCEL, &m);
        ask(&b);
        expect(&b, SOCLE_E_CANCELLED, "cancelled");
        receive_nothing(&c);
        edge_free(c.edge);
}

/* The request may be cancelled in the same turn, before the loop has resumed it. */
static void test_cancelled_when_it_has_ended(void **state) {
        struct task task = { 0 };
        struct ask a = { .method = "kv.put", .task = &task };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        target_cancel(task.call->target, task.call);
        call_fail(task.call, SOCLE_E_PEER_DIED, "it died");
        task_cancel(&task);
        turns();
        expect(&a, SOCLE_E_PEER_DIED, "it died");
        edge_free(c.edge);
}

/* Casts and large messages -------------------------------------------------------------------------------------------- */

static void test_an_edge_that_nobody_uses_is_released(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" };
        struct callee c, d;
        struct edge_message m;

        assert_int_equal(providers_sweep(), 0);
        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        for (int i = 0; i < 3; i++)
                assert_int_equal(providers_sweep(), 1); /* something is under way */
        reply(&c, m.frame.correlation, "x");
        expect(&a, 0, "x");
        assert_int_equal(providers_sweep(), 1); /* it was used a moment ago */
        told_nothing();
        assert_int_equal(providers_sweep(), 0);
        assert_int_equal(told(CONTROL_KIND_EDGE_RELEASED).EDGE_RELEASED.target, c.instance);
        edge_on_bell(c.edge);
        assert_int_equal(edge_receive(c.edge, &m), EDGE_E_CLOSED);
        edge_free(c.edge);
        assert_int_equal(providers_sweep(), 0);
        told_nothing();
        /* the next call makes another */
        ask(&b);
        take_edge(&d);
        receive(&d, FRAME_REQUEST, &m);
        assert_int_equal(providers_sweep(), 1);
        reply(&d, m.frame.correlation, "y");
        expect(&b, 0, "y");
        edge_free(d.edge);
}

/* The link is full: what the manager would not know of is kept. */
static void test_no_edge_is_released_in_secret(void **state) {
        struct control_record record;
        struct callee c;
        uint32_t n = 0;

        open_edge(&c);
        assert_int_equal(providers_sweep(), 1);
        while (bus_released(&the_worker.bus, 99))
                n++;
        assert_int_equal(providers_sweep(), 1);
        while (control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record) == 0)
                n--;
        assert_int_equal(n, 0);
        assert_int_equal(providers_sweep(), 0);
        told(CONTROL_KIND_EDGE_RELEASED);
        edge_free(c.edge);
}

static void test_cast(void **state) {
        struct ask a = { .method = "kv.put", .cast = true }, large = { .method = "kv.put", .cast = true, .size = 30 << 10 };
        struct callee c;
        struct edge_message m;
        int r;

        open_edge(&c);
        ask(&a);
        expect(&a, 0, "");
        receive(&c, FRAME_CAST, &m);
        /* more than the ring holds: it waits until the last of it is there */
        ask(&large);
        assert_int_equal(large.done, 0);
        do {
                edge_on_bell(c.edge);
                r = edge_receive(c.edge, &m);
                edge_arm(c.edge);
                turn();
        } while (r == EDGE_E_EMPTY);
        assert_int_equal(r, 0);
        assert_int_equal(m.frame.kind, FRAME_CAST);
        turns();
        expect(&large, 0, "");
        edge_free(c.edge);
}

static void test_large_call_cut_by_its_deadline(void **state) {
        struct ask a = { .method = "kv.put", .size = 30 << 10, .options.timeout_ms = 5 }, b = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;
        int r;

        open_edge(&c);
        ask(&a);
        assert_int_equal(a.done, 0);
        pass_ms(5);
        expect(&a, SOCLE_E_TIMEOUT, "");
        /* what had been sent of it comes to nothing, and the next one is whole */
        ask(&b);
        do {
                edge_on_bell(c.edge);
                r = edge_receive(c.edge, &m);
                edge_arm(c.edge);
                turn();
        } while (r == EDGE_E_EMPTY);
        assert_int_equal(r, 0);
        assert_int_equal(m.size, 2);
        reply(&c, m.frame.correlation, "whole");
        expect(&b, 0, "whole");
        edge_free(c.edge);
}

static void trace_main(void *arg) {
        snprintf(arg, TRACE_TEXT_SIZE, "%s", socle_trace());
}

/* A message of a topic has none, nor has what `start` calls: no text is better than one that is not valid. */
static void test_trace(void **state) {
        char text[TRACE_TEXT_SIZE] = "?";
        struct coroutine *co;
        struct task task = { .span = 0x1234 };

        for (uint8_t begin = 0; begin < 2; begin++) {
                task.frame.trace[0] = begin;
                co = coroutine_new(trace_main, text);
                coroutine_set_userdata(co, &task);
                worker_resume(co);
                assert_string_equal(text, begin ? "00-01000000000000000000000000000000-0000000000001234-00" : "");
        }
        arena_deinit(&task.arena);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_call),
                TEST(test_refused_at_once),
                TEST(test_no_service),
                TEST(test_outside_of_coroutines),
                TEST(test_before_the_directory),
                TEST(test_answers_that_are_none),
                TEST(test_invented_answers),
                TEST(test_timeout),
                TEST(test_what_is_inherited),
                TEST(test_cancelled),
                TEST(test_cancelled_when_it_has_ended),
                TEST(test_an_edge_that_nobody_uses_is_released),
                TEST(test_no_edge_is_released_in_secret),
                TEST(test_cast),
                TEST(test_large_call_cut_by_its_deadline),
                TEST(test_trace),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
