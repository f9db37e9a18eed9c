/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending, whatever the loop is made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/ends.h"

static void send_much(struct end *e) {
        enum { TOTAL = 8 << 20 };
        uint8_t *data = malloc(TOTAL);
        uint64_t sent = 0, heard = 0;
        unsigned n_turns = 0;

        assert_non_null(data);
        text_fill(data, 0, TOTAL);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS; heard < TOTAL; n_turns++) {
                unsigned before = e->n_sent;

                assert_true(clock_now_ns() < until);
                while (sent < TOTAL) {
                        struct iovec iov[2] = { { data + sent, MIN((uint64_t)TOTAL - sent, UINT64_C(1000)) } };
                        ssize_t n;

                        iov[1].iov_base = data + sent + iov[0].iov_len;
                        iov[1].iov_len = TOTAL - sent - iov[0].iov_len;
                        n = net_send(&e->socket, iov, iov[1].iov_len ? 2 : 1);
                        assert_true(n >= 0);
                        sent += (uint64_t)n;
                        if (sent < TOTAL)
                                break;
                }
                if (sent < TOTAL) { /* nothing may be sent before there is room */
                        settle();
                        assert_int_equal(e->n_sent, before);
                        while (e->n_sent == before) {
                                heard += end_hear(e, heard);
                                turn(NS_PER_MS);
                                assert_true(clock_now_ns() < until);
                        }
                }
                heard += end_hear(e, heard);
        }
        assert_int_equal(heard, TOTAL);
        assert_true(e->n_sent > 3);
        free(data);
}

static void test_sending_goes_on_when_there_is_room(void **state) {
        struct end e;

        end_open(&e);
        send_much(&e);
        assert_int_equal(end_say(&e, 0, 10), 10);
        TURN_UNTIL(e.received == 10);
        send_much(&e);
        end_close(&e);
}

static void test_sending_to_who_has_said_his_last(void **state) {
        uint64_t until;
        struct end e;
        int n = 0;

        end_open(&e);
        assert_int_equal(shutdown(e.peer, SHUT_WR), 0);
        TURN_UNTIL(e.n_ended);
        send_much(&e);
        /* And it sleeps meanwhile. */
        e.n_sent = 0;
        while (!e.n_sent) {
                static uint8_t data[1 << 20];
                struct iovec iov = { data, sizeof(data) };

                if (net_send(&e.socket, &iov, 1) < (ssize_t)sizeof(data))
                        break;
        }
        settle();
        for (until = clock_now_ns() + 20 * NS_PER_MS; clock_now_ns() < until; n++)
                turn(20 * NS_PER_MS);
        assert_in_range(n, 1, 2); /* one for a time that was asked for before */
        end_close(&e);
}

static void test_sending_to_who_is_gone(void **state) {
        uint8_t data[10] = { 0 };
        struct iovec iov = { data, sizeof(data) };
        struct end e;

        end_open(&e);
        e.peer = fd_close(e.peer);
        assert_int_equal(net_send(&e.socket, &iov, 1), -EPIPE);
        end_close(&e);
}

static void test_a_file_is_sent_in_pieces(void **state) {
        enum { TOTAL = 5 << 20 };
        _cleanup_close_ int fd = memfd_create("file", MFD_CLOEXEC);
        _cleanup_free_ uint8_t *data = malloc(TOTAL);
        uint64_t sent = 0, heard = 0;
        struct end e;

        assert_true(fd >= 0 && data);
        text_fill(data, 0, TOTAL);
        assert_int_equal(write(fd, data, TOTAL), TOTAL);
        end_open(&e);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS; heard < TOTAL;) {
                assert_true(clock_now_ns() < until);
                if (sent < TOTAL) {
                        unsigned before = e.n_sent;
                        ssize_t n = net_send_file(&e.socket, fd, sent, TOTAL - sent);

                        assert_true(n >= 0);
                        sent += (uint64_t)n;
                        while (sent < TOTAL && e.n_sent == before) {
                                heard += end_hear(&e, heard);
                                turn(NS_PER_MS);
                                assert_true(clock_now_ns() < until);
                        }
                }
                heard += end_hear(&e, heard);
        }
        assert_int_equal(net_send_file(&e.socket, fd, TOTAL, 1), -ENODATA);
        end_close(&e);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ENDS_TEST(test_sending_goes_on_when_there_is_room),
                ENDS_TEST(test_sending_to_who_has_said_his_last),
                ENDS_TEST(test_sending_to_who_is_gone),
                ENDS_TEST(test_a_file_is_sent_in_pieces),
        };

        return cmocka_run_group_tests_name("net-send", tests, NULL, NULL);
}
