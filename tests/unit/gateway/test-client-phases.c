/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a client may take for what.
 */
#include <string.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "tests/unit/gateway/client-fixture.h"

/* Half of one holds nobody up either; behind it the usual times count. */
static void test_a_proxy_header_has_its_time(void **state) {
        int silent, half, whole;
        char byte;

        g->setup.trusted.has_unix = 1;
        silent = connect_another(true);
        half = connect_another(true);
        whole = connect_another(true);

        assert_int_equal(write(half, "PROXY TCP4 192.", 15), 15);
        assert_int_equal(write(whole, "PROXY UNKNOWN\r\n", 15), 15);
        turn(S(9));
        assert_int_equal(g->n_clients, 4);
        assert_int_equal(write(half, "0", 1), 1);
        turn(S(10));
        assert_int_equal(g->n_clients, 2);
        assert_int_equal(read(silent, &byte, 1), 0);
        assert_true(read(half, &byte, 1) <= 0);
        turn(S(83));
        assert_int_equal(g->n_clients, 1);
        turn(S(84));
        assert_int_equal(g->n_clients, 0);
        assert_int_equal(read(whole, &byte, 1), 0);
        fd_close(silent);
        fd_close(half);
        fd_close(whole);
}

static void test_an_idle_connection_ends_in_silence(void **state) {
        turn(S(74));
        expect_quiet();
        turn(S(75));
        expect_end_after("");
        assert_int_equal(g->n_clients, 0);
        assert_int_equal(deadlines_next(&g->deadlines), UINT64_MAX);
}

static void test_a_request_begins_the_idle_time_anew(void **state) {
        bool ended;

        turn(S(70));
        say("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
        turn(S(70));
        assert_non_null(strstr(hear(&ended), "HTTP/1.1 404 "));
        turn(S(144));
        expect_quiet();
        turn(S(145));
        expect_end_after("");
}

static void test_a_head_has_ten_seconds_from_its_first_byte(void **state) {
        turn(S(50));
        for (int i = 0; i < 9; i++) {
                say(i ? "a" : "GET /");
                turn(S(50 + i));
        }
        turn(S(59));
        expect_quiet();
        turn(S(60));
        expect_end_after("HTTP/1.1 408 Request Timeout");
        /* closed when its answer had time to arrive */
        assert_int_equal(g->n_clients, 1);
        turn(S(62));
        assert_int_equal(g->n_clients, 0);
}

/* Each piece ends in the middle of a head, so that there is always one that has begun. */
static void test_every_head_has_its_own_ten_seconds(void **state) {
        bool ended;

        say("GET /none HTTP/1.1\r\nHost: x\r\n\r\nGET ");
        for (int i = 0; i < 10; i++) {
                turn(S(5 * i));
                assert_non_null(strstr(hear(&ended), "404"));
                assert_false(ended);
                say("/none HTTP/1.1\r\nHost: x\r\n\r\nGET ");
        }
        turn(S(50));
        hear(&ended);
        turn(S(59));
        expect_quiet();
        turn(S(60));
        expect_end_after("408");
}

/* Sends bytes of a body, which nobody answers yet. */
static void say_body(size_t size) {
        static const char bytes[65536];

        assert_int_equal(write(peer, bytes, size), size);
}

static void test_a_body_must_make_progress(void **state) {
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        for (int i = 0; i < 5; i++) {
                turn(S(25 * i));
                expect_quiet();
                say_body(16384);
        }
        turn(S(125));
        turn(S(154));
        expect_quiet();
        turn(S(155));
        expect_end_after("HTTP/1.1 408 Request Timeout");
}

/* A byte now and then is no progress. */
static void test_a_body_has_a_least_rate(void **state) {
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        turn(S(0));
        for (int i = 1; i <= 2; i++) {
                say_body(8191);
                turn(S(10 * i));
                expect_quiet();
        }
        turn(S(29));
        say("a");
        turn(S(29));
        expect_quiet();
        turn(S(30));
        expect_end_after("HTTP/1.1 408 Request Timeout");
}

static void test_the_rest_of_a_body_may_be_short(void **state) {
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
        turn(S(0));
        say("a");
        turn(S(20));
        say("b");
        turn(S(29));
        assert_int_equal(g->n_waiting, 1);
        turn(S(100));
        expect_quiet();
}

/* While a module works, nothing is wanted of the client. */
static void test_waiting_for_a_module_takes_as_long_as_it_takes(void **state) {
        say(REQUEST);
        turn(S(1));
        assert_int_equal(g->n_waiting, 1);
        for (int i = 1; i < 100; i++)
                turn(S(10 * i));
        expect_quiet();
        assert_int_equal(g->n_clients, 1);
}

static void test_a_client_that_takes_nothing_is_left(void **state) {
        static char some[100000];

        say(REQUEST);
        turn(S(1));
        answer_large(TAILQ_FIRST(&TAILQ_FIRST(&g->clients)->requests), 4u << 20);
        turn(S(2));
        turn(S(60));
        assert_int_equal(g->n_clients, 1);
        /* It takes a bufferful: sixty seconds more. */
        while (read(peer, some, sizeof(some)) > 0)
                ;
        turn(S(61));
        turn(S(120));
        assert_int_equal(g->n_clients, 1);
        turn(S(121));
        assert_int_equal(g->n_clients, 0);
}

/* Data and deadline in one turn of the loop. */
static void test_a_request_in_the_last_moment_counts(void **state) {
        say(REQUEST);
        turn(S(75));
        expect_quiet();
        assert_int_equal(g->n_clients, 1);
        assert_int_equal(g->n_waiting, 1);
}

/* When the base stops, connections that are being left are not begun anew. */
static void test_the_end_does_not_prolong_a_farewell(void **state) {
        say("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\nand more");
        turn(S(0));
        turn(S(1));
        assert_int_equal(g->n_clients, 1);
        clients_end(g);
        turn(S(1));
        turn(S(2));
        assert_int_equal(g->n_clients, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_an_idle_connection_ends_in_silence),
                TEST(test_a_proxy_header_has_its_time),
                TEST(test_a_request_begins_the_idle_time_anew),
                TEST(test_a_head_has_ten_seconds_from_its_first_byte),
                TEST(test_every_head_has_its_own_ten_seconds),
                TEST(test_a_body_must_make_progress),
                TEST(test_a_body_has_a_least_rate),
                TEST(test_the_rest_of_a_body_may_be_short),
                TEST(test_the_end_does_not_prolong_a_farewell),
                TEST(test_waiting_for_a_module_takes_as_long_as_it_takes),
                TEST(test_a_client_that_takes_nothing_is_left),
                TEST(test_a_request_in_the_last_moment_counts),
        };

        return cmocka_run_group_tests_name("client-phases", tests, NULL, NULL);
}
