/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gateway process between stand-ins (front.h): what it does when managers
 * come and go, and what the base asks of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "tests/unit/gateway/front.h"

static void test_a_request_waits_for_an_instance(void **state) {
        const struct front_module none = { .name = "m" };
        struct control_record record;
        struct worker w;
        int c = client_connect();

        front_publish(&none, 1);
        client_send(c, GET("/m"));
        front_expect(CONTROL_KIND_WATCH, &record);
        assert_int_equal(record.WATCH.generation, 1); /* the generation that it knows */
        front_publish_one(1);
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        client_expect_reply(c, &w, "at last");
        client_and_worker_leave(c, &w);
}

static void test_who_waits_is_told_when_nothing_comes(void **state) {
        const struct front_module soon = { .name = "m" }, never = { .name = "m", .down = true };
        const struct front_module late = { .name = "m", .timeout_ms = 50 };
        struct control_record record;
        int c = client_connect();

        front_publish(&soon, 1);
        client_send(c, GET("/m"));
        front_expect(CONTROL_KIND_WATCH, &record);
        front_publish(&never, 1);
        client_expect_answer(c, 503, "UNAVAILABLE");
        front_publish(&soon, 1);
        client_send(c, GET("/m"));
        front_expect(CONTROL_KIND_WATCH, &record);
        front_publish(NULL, 0);
        client_expect_answer(c, 503, "UNAVAILABLE");
        front_publish(&late, 1);
        client_send(c, GET("/m"));
        client_expect_answer(c, 503, "UNAVAILABLE");
        close(c);
}

static void test_an_edge_that_is_refused(void **state) {
        struct control_record record;
        struct worker w;
        int c = client_connect();

        front_publish_one(1);
        client_send(c, GET("/m"));
        front_expect(CONTROL_KIND_EDGE_REQUEST, &record);
        CONTROL_SEND(front.manager, EDGE_REFUSED, record.header.request, NULL, 0, .target = 1, .error = ERROR_BUSY);
        control_record_deinit(&record);
        /* Busy: the same one again, soon. */
        front_expect(CONTROL_KIND_EDGE_REQUEST, &record);
        assert_int_equal(record.EDGE_REQUEST.target, 1);
        CONTROL_SEND(front.manager, EDGE_REFUSED, record.header.request, NULL, 0, .target = 1, .error = ERROR_MOVED);
        control_record_deinit(&record);
        /* Moved: not before the directory says something else. */
        front_publish_one(2);
        front_grant(2, &w);
        worker_expect(&w, FRAME_REQUEST);
        client_expect_reply(c, &w, "two");
        client_and_worker_leave(c, &w);
}

static void test_a_new_manager_takes_over(void **state) {
        const struct front_module modules[] = { { .name = "m", .instances = { { 1, ACTIVE } } },
                                                { .name = "n", .instances = { { 2, ACTIVE } } } };
        struct control_record record;
        uint64_t asked;
        struct worker m, n;
        int c = client_connect(), d = client_connect();

        front_publish(modules, 2);
        client_send(c, GET("/m"));
        front_grant(1, &m);
        worker_expect(&m, FRAME_REQUEST);
        client_send(d, GET("/n"));
        front_expect(CONTROL_KIND_EDGE_REQUEST, &record);
        asked = record.header.request;
        control_record_deinit(&record);
        /* It dies here, with our question unanswered. */
        front_new_manager();
        front_publish(modules, 2);
        front_expect(CONTROL_KIND_PEER_PAGE, &record);
        control_record_deinit(&record);
        front_expect(CONTROL_KIND_EDGE_REQUEST, &record);
        assert_int_not_equal(record.header.request, asked);
        assert_int_equal(record.EDGE_REQUEST.target, 2);
        front_accept_edge(&record, &n);
        control_record_deinit(&record);
        worker_expect(&n, FRAME_REQUEST);
        client_expect_reply(d, &n, "new");
        /* What was under way never noticed. */
        client_expect_reply(c, &m, "old");
        close(c);
        close(d);
        worker_die(&m);
        worker_die(&n);
}

static void test_a_new_link_is_taken(void **state) {
        struct worker w;
        int c, link[2];

        front_publish_one(1);
        c = client_connect();
        fd_close(front.manager);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, link), 0);
        front.manager = link[0];
        CONTROL_SEND(front.base, HANDOVER, 0, &link[1], 1, .what = HANDOVER_GATEWAY_LINK, .id = 7);
        fd_close(link[1]);
        front_new_manager();
        front_publish_one(1);
        front_expect_swept(0); /* an edge that is asked for before the new directory has come is asked for again */
        client_send(c, GET("/m"));
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        client_expect_reply(c, &w, "on");
        client_and_worker_leave(c, &w);
}

static void test_an_idle_edge_is_released(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        client_expect_reply(c, &w, "x");
        front_expect_swept(1); /* it was used a moment ago */
        front_expect_swept(0);
        worker_expect_closed(&w);
        client_send(c, GET("/m"));
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        front_expect_swept(1); /* it is new, */
        front_expect_swept(1); /* and something is under way */
        client_expect_reply(c, &w, "again");
        front_expect_swept(1);
        front_expect_swept(0);
        worker_expect_closed(&w);
        front_expect_swept(0);
        client_and_worker_leave(c, &w);
}

/* The base ----------------------------------------------------------------------------------------------------------------- */

static void test_ping(void **state) {
        front_ping();
}

/* When there is something to serve, and once. */
static void test_it_says_that_it_accepts(void **state) {
        assert_int_equal(front_ping(), 0);
        front_publish_one(1);
        front_expect_swept(0);
        assert_int_equal(front_ping(), 1);
        front_publish_one(2);
        front_expect_swept(0);
        assert_int_equal(front_ping(), 0);
}

static void test_the_page_counts(void **state) {
        struct page_reader *page = NULL;
        struct control_record record;
        struct page_vitals v;
        struct worker w;
        int c;

        front_expect(CONTROL_KIND_PEER_PAGE, &record);
        assert_int_equal(page_reader_new(&page, TAKE_FD(record.fds[0])), 0);
        c = front_begin(&w, "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        worker_reply(&w, w.message.frame.correlation, 500, "x");
        client_expect_answer(c, 500, "x");
        /* The counters of a turn are published at its end: a PONG comes from a later one. */
        front_ping();
        page_read(page, &v);
        assert_int_equal(v.requests, 1);
        assert_int_equal(v.errors, 1);
        assert_int_equal(v.bytes_in, 4);
        assert_true(v.bytes_out > 50);
        assert_int_equal(v.in_flight, 0);
        page_reader_free(page);
        client_and_worker_leave(c, &w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                FRONT_TEST(test_a_request_waits_for_an_instance),
                FRONT_TEST(test_who_waits_is_told_when_nothing_comes),
                FRONT_TEST(test_an_edge_that_is_refused),
                FRONT_TEST(test_a_new_manager_takes_over),
                FRONT_TEST(test_a_new_link_is_taken),
                FRONT_TEST(test_an_idle_edge_is_released),
                FRONT_TEST(test_ping),
                FRONT_TEST(test_it_says_that_it_accepts),
                FRONT_TEST(test_the_page_counts),
        };

        return cmocka_run_group_tests_name("process-manager", tests, NULL, NULL);
}
