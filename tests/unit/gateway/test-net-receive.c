/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving, whatever the loop is made of: in order, piece by piece, and when it is
 * not wanted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/ends.h"

/* Receiving -------------------------------------------------------------------------------------------------------------- */

static void test_data_comes_and_then_the_end(void **state) {
        struct end e;

        end_open(&e);
        settle();
        assert_int_equal(e.n_data, 0);
        assert_int_equal(end_say(&e, 0, 10), 10);
        TURN_UNTIL(e.received == 10);
        assert_int_equal(end_say(&e, 10, 10), 10);
        TURN_UNTIL(e.received == 20);
        /* Both at once, and told one after the other: what was said can be answered. */
        assert_int_equal(end_say(&e, 20, 5), 5);
        assert_int_equal(shutdown(e.peer, SHUT_WR), 0);
        TURN_UNTIL(e.received == 25);
        assert_int_equal(e.n_ended, 0);
        TURN_UNTIL(e.n_ended);
        assert_int_equal(e.received, 25);
        assert_int_equal(e.error, 0);
        settle();
        assert_int_equal(e.n_ended, 1);
        assert_false(e.wrong);
        end_close(&e);
}

static void test_a_connection_that_breaks(void **state) {
        struct end e;
        uint8_t unread[100] = { 0 };
        struct iovec iov = { unread, sizeof(unread) };

        end_open(&e);
        settle();
        /* A UNIX socket that is closed with data unread resets its peer. */
        assert_int_equal(net_send(&e.socket, &iov, 1, false), sizeof(unread));
        e.peer = fd_close(e.peer);
        TURN_UNTIL(e.n_ended);
        assert_int_equal(e.error, -ECONNRESET);
        settle();
        assert_int_equal(e.n_ended, 1);
        end_close(&e);
}

static void test_many_bytes_come_in_order_piece_by_piece(void **state) {
        enum { TOTAL = 20 << 20 };
        uint64_t said = 0, most_in_turn = 0;
        struct end e, other;

        end_open(&e);
        end_open(&other);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS; e.received < TOTAL;) {
                uint64_t before = other.received;

                assert_true(clock_now_ns() < until);
                said += said < TOTAL ? end_say(&e, said, MIN((uint64_t)TOTAL - said, UINT64_C(1) << 20)) : 0;
                assert_int_equal(end_say(&other, other.received, 1), 1);
                e.in_turn = e.n_data = other.n_data = 0;
                turn(0);
                assert_true(e.n_data <= 1 && other.n_data <= 1); /* who holds what he cannot take has room for one piece */
                most_in_turn = MAX(most_in_turn, e.in_turn);
                /* Who has little to say has his turn as well. */
                assert_int_equal(other.received, before + 1);
        }
        assert_int_equal(e.received, TOTAL);
        assert_in_range(most_in_turn, 1, 2 * NET_RECEIVE_MAX);
        assert_false(e.wrong || other.wrong);
        end_close(&e);
        end_close(&other);
}

static void test_more_connections_than_buffers(void **state) {
        struct end *ends = calloc(MANY, sizeof(*ends));
        unsigned n = 0;

        assert_non_null(ends);
        for (unsigned i = 0; i < MANY; i++)
                end_open(&ends[i]);
        settle();
        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < MANY; i++)
                        assert_int_equal(end_say(&ends[i], ends[i].received, 100), 100);
                for (uint64_t until = clock_now_ns() + PATIENCE_NS; n < MANY * (round + 1);) {
                        assert_true(clock_now_ns() < until);
                        turn(NS_PER_MS);
                        n = 0;
                        for (unsigned i = 0; i < MANY; i++)
                                n += (unsigned)ends[i].received / 100;
                }
        }
        for (unsigned i = 0; i < MANY; i++) {
                assert_false(ends[i].wrong);
                end_close(&ends[i]);
        }
        free(ends);
}

/* Back-pressure ---------------------------------------------------------------------------------------------------------- */

static void test_who_is_not_wanted_waits(void **state) {
        struct end e;

        end_open(&e);
        net_receive(&e.socket, false);
        settle();
        assert_int_equal(end_say(&e, 0, 100), 100);
        settle();
        assert_int_equal(end_say(&e, 100, 100), 100);
        settle();
        assert_int_equal(e.received, 0);
        net_receive(&e.socket, true);
        TURN_UNTIL(e.received == 200);
        /* And as before. */
        assert_int_equal(end_say(&e, 200, 100), 100);
        TURN_UNTIL(e.received == 300);
        assert_false(e.wrong);
        end_close(&e);
}

static void test_who_is_not_wanted_cannot_say_without_end(void **state) {
        uint64_t said = 0, n;
        struct end e;

        end_open(&e);
        net_receive(&e.socket, false);
        for (int i = 0; i < 100; i++) {
                do {
                        n = end_say(&e, said, 1 << 20);
                        said += n;
                } while (n);
                turn(0);
        }
        assert_int_equal(e.received, 0);
        assert_true(said < 8 << 20);
        assert_true(net_socket_kept(&e.socket) <= 2 << 20);
        net_receive(&e.socket, true);
        TURN_UNTIL(e.received == said);
        assert_false(e.wrong);
        end_close(&e);
}

static void test_on_and_off_loses_nothing(void **state) {
        enum { TOTAL = 4 << 20 };
        uint64_t said = 0, received;
        struct end e;

        end_open(&e);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS, i = 0; e.received < TOTAL; i++) {
                bool on = i % 3 == 0 || i % 7 == 0;

                assert_true(clock_now_ns() < until);
                said += said < TOTAL ? end_say(&e, said, MIN((uint64_t)TOTAL - said, i * 977 % 30000)) : 0;
                net_receive(&e.socket, on);
                received = e.received;
                turn(0);
                assert_true(on || e.received == received);
        }
        assert_false(e.wrong);
        e.peer = fd_close(e.peer);
        net_receive(&e.socket, true);
        TURN_UNTIL(e.n_ended);
        assert_int_equal(e.error, 0);
        end_close(&e);
}

static void test_an_end_behind_what_is_not_wanted_waits_too(void **state) {
        struct end e;

        end_open(&e);
        settle();
        net_receive(&e.socket, false);
        assert_int_equal(end_say(&e, 0, 100), 100);
        assert_int_equal(shutdown(e.peer, SHUT_WR), 0);
        settle();
        assert_int_equal(e.received + e.n_ended, 0);
        net_receive(&e.socket, true);
        TURN_UNTIL(e.n_ended);
        assert_int_equal(e.received, 100);
        assert_int_equal(e.error, 0);
        end_close(&e);
}

static void test_a_break_is_told_who_is_wanted_or_not(void **state) {
        for (int data = 0; data < 2; data++) {
                struct end e;

                end_open(&e);
                settle();
                net_receive(&e.socket, false);
                settle();
                if (data)
                        assert_int_equal(end_say(&e, 0, 100), 100);
                settle();
                e.peer = fd_close(e.peer);
                if (!data) { /* a plain end of a UNIX socket is both directions' */
                        TURN_UNTIL(e.n_ended || turns > 1000);
                        net_receive(&e.socket, true);
                }
                TURN_UNTIL(e.n_ended);
                assert_int_equal(e.received, 0);
                assert_int_equal(e.n_ended, 1);
                end_close(&e);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ENDS_TEST(test_data_comes_and_then_the_end),
                ENDS_TEST(test_a_connection_that_breaks),
                ENDS_TEST(test_many_bytes_come_in_order_piece_by_piece),
                ENDS_TEST(test_more_connections_than_buffers),
                ENDS_TEST(test_who_is_not_wanted_waits),
                ENDS_TEST(test_who_is_not_wanted_cannot_say_without_end),
                ENDS_TEST(test_on_and_off_loses_nothing),
                ENDS_TEST(test_an_end_behind_what_is_not_wanted_waits_too),
                ENDS_TEST(test_a_break_is_told_who_is_wanted_or_not),
        };

        return cmocka_run_group_tests_name("net-receive", tests, NULL, NULL);
}
