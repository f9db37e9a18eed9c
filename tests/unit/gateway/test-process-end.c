/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gateway process between stand-ins (front.h): the base stops. What has
 * come is answered, who comes later stays in the socket for the next gateway.
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
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "tests/unit/gateway/front.h"

#define WAIT_MS 20000

/* Tells it, and returns when it knows: links keep their order. */
static void end_begin(void) {
        CONTROL_SEND(front.base, SHUTDOWN, 0, NULL, 0, .reserved = 0);
        front_ping();
}

/* By itself: the base's end of the link is still open. That the status is 0 is seen at the end of each test. */
static void expect_exit(void) {
        struct control_record record;

        assert_int_equal(control_receive_wait(front.base, CONTROL_GATEWAY, CONTROL_BASE, WAIT_MS, &record), CONTROL_E_CLOSED);
}

static void test_without_a_connection(void **state) {
        front_publish_one(1);
        end_begin();
        expect_exit();
}

static void test_before_the_first_directory(void **state) {
        end_begin();
        expect_exit();
}

static void test_a_request_under_way_is_answered(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        end_begin();
        worker_reply(&w, w.message.frame.correlation, 200, "late");
        client_expect_answer(c, 200, "Connection: close");
        client_expect_end(c);
        expect_exit();
        worker_die(&w);
}

static void test_a_body_under_way_is_taken(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        client_expect_reply(c, &w, "first");
        client_send(c, "PUT /m HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        /* Its head has come: this is the answer to that. */
        _cleanup_free_ char *head = NULL;
        assert_int_equal(client_expect(c, &head, NULL), 100);
        end_begin();
        client_send(c, "body");
        worker_expect(&w, FRAME_REQUEST);
        assert_int_equal(w.request.body_size, 4);
        worker_reply(&w, w.message.frame.correlation, 200, "taken");
        client_expect_answer(c, 200, "Connection: close");
        client_expect_end(c);
        expect_exit();
        worker_die(&w);
}

static void test_the_last_of_a_pipeline_is_the_last(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m/1") GET("/m/2"));
        uint64_t first = w.message.frame.correlation;

        worker_expect(&w, FRAME_REQUEST);
        end_begin();
        client_send(c, GET("/m/3"));
        worker_reply(&w, w.message.frame.correlation, 200, "two");
        worker_reply(&w, first, 200, "one");
        client_expect_answer(c, 200, "one");
        client_expect_answer(c, 200, "Connection: close");
        client_expect_end(c);
        expect_exit();
        assert_false(worker_has_message(&w));
        worker_die(&w);
}

static void test_an_idle_connection_may_bring_one_more(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m")), silent = client_connect();

        client_expect_reply(c, &w, "first");
        /* Accepted before this one, which is answered. */
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        client_expect_reply(c, &w, "second");
        end_begin();
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, w.message.frame.correlation, 200, "third");
        client_expect_answer(c, 200, "Connection: close");
        client_expect_end(c);
        client_expect_end(silent);
        expect_exit();
        worker_die(&w);
}

static void test_who_comes_later_waits_for_the_next(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m")), late, taken;
        char text[8] = "";

        end_begin();
        late = client_connect();
        client_send(late, GET("/m"));
        client_expect_reply(c, &w, "x");
        client_expect_end(c);
        expect_exit();
        taken = accept4(front.listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(taken >= 0);
        assert_int_equal(read(taken, text, 4), 4);
        assert_string_equal(text, "GET ");
        close(taken);
        close(late);
        worker_die(&w);
}

/* A directory that is published meanwhile opens nothing. */
static void test_a_change_does_not_open_it_again(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m")), late;

        end_begin();
        front_new_manager();
        front_publish_one(1);
        late = client_connect();
        client_expect_reply(c, &w, "x");
        client_expect_end(c);
        expect_exit();
        assert_int_equal(fcntl(front.listener, F_SETFL, O_NONBLOCK), 0);
        assert_true(accept4(front.listener, NULL, NULL, SOCK_CLOEXEC) >= 0);
        close(late);
        worker_die(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                FRONT_TEST(test_without_a_connection),
                FRONT_TEST(test_before_the_first_directory),
                FRONT_TEST(test_a_request_under_way_is_answered),
                FRONT_TEST(test_a_body_under_way_is_taken),
                FRONT_TEST(test_the_last_of_a_pipeline_is_the_last),
                FRONT_TEST(test_an_idle_connection_may_bring_one_more),
                FRONT_TEST(test_who_comes_later_waits_for_the_next),
                FRONT_TEST(test_a_change_does_not_open_it_again),
        };

        return cmocka_run_group_tests_name("process-end", tests, NULL, NULL);
}
