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
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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
                        n = net_send(&e->socket, iov, iov[1].iov_len ? 2 : 1, false);
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

                if (net_send(&e.socket, &iov, 1, false) < (ssize_t)sizeof(data))
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
        assert_int_equal(net_send(&e.socket, &iov, 1, false), -EPIPE);
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

static void tcp_pair(int pair[2]) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(address);

        assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
        pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(pair[1], (struct sockaddr *)&address, size), 0);
        pair[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        assert_true(pair[0] >= 0);
}

/* How much of it has not been sent yet, when a head was and its file follows. */
static int send_head_and_file(bool more) {
        _cleanup_close_ int fd = memfd_create("file", MFD_CLOEXEC), peer = -1;
        int pair[2], yes = 1, n = -1;
        uint8_t data[1010], got[1010];
        struct end e = { .peer = -1 };

        text_fill(data, 0, sizeof(data));
        assert_int_equal(write(fd, data + 10, 1000), 1000);
        tcp_pair(pair);
        peer = pair[1];
        assert_int_equal(setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
        assert_int_equal(net_socket_add(net, &e.socket, pair[0], &end_handler), 0);
        assert_int_equal(net_send(&e.socket, &(struct iovec){ data, 10 }, 1, more), 10);
        assert_int_equal(ioctl(pair[0], SIOCOUTQNSD, &n), 0);
        assert_int_equal(net_send_file(&e.socket, fd, 0, 1000), 1000);
        assert_int_equal(recv(peer, got, sizeof(got), MSG_WAITALL), sizeof(got));
        assert_memory_equal(got, data, sizeof(got));
        net_socket_remove(&e.socket);
        return n;
}

/* A head may share its packet with the file. The kernel waits for that for 200 ms only: one that is too slow to be seen is tried again. */
static void test_a_head_goes_with_its_file(void **state) {
        uint64_t until = clock_now_ns() + PATIENCE_NS;

        assert_int_equal(send_head_and_file(false), 0);
        while (send_head_and_file(true) != 10)
                assert_true(clock_now_ns() < until);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                ENDS_TEST(test_sending_goes_on_when_there_is_room),
                ENDS_TEST(test_sending_to_who_has_said_his_last),
                ENDS_TEST(test_sending_to_who_is_gone),
                ENDS_TEST(test_a_file_is_sent_in_pieces),
                ENDS_TEST(test_a_head_goes_with_its_file),
        };

        return cmocka_run_group_tests_name("net-send", tests, NULL, NULL);
}
