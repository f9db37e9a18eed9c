/* SPDX-License-Identifier: Apache-2.0
 *
 * net.h, whatever the loop is made of: what is received and when it is not, who
 * is removed while it happens, sending, accepting, watching.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/gateway/net.h"
#include "tests/unit/gateway/loop.h"

#define MANY 700
#define PATIENCE_NS (30 * NS_PER_S)

/* A connection under test and its other end. */
struct end {
        struct net_socket socket;
        int peer;
        uint64_t received, sent;
        uint64_t in_turn, most_in_turn; /* bytes */
        unsigned n_data, n_ended, n_sent;
        int error;
        bool wrong; /* another byte than the one whose turn it was */
        struct end *victim;
};

static struct net *net;
static uint64_t turns;

static uint8_t byte_at(uint64_t position) {
        return (uint8_t)(position * 31 + (position >> 8) * 7);
}

static void fill(uint8_t *data, uint64_t position, size_t size) {
        for (size_t i = 0; i < size; i++)
                data[i] = byte_at(position + i);
}

static void end_close(struct end *e) {
        net_socket_remove(&e->socket);
        e->peer = fd_close(e->peer);
}

static void on_data(struct net_socket *socket, uint8_t *data, size_t size) {
        struct end *e = (struct end *)socket;

        assert_true(size > 0 && size <= NET_RECEIVE_MAX);
        for (size_t i = 0; i < size; i++)
                e->wrong |= data[i] != byte_at(e->received + i);
        memset(data, 0, size);
        e->received += size;
        e->in_turn += size;
        e->n_data++;
        if (e->victim)
                net_socket_remove(&TAKE_PTR(e->victim)->socket);
}

static void on_end(struct net_socket *socket, int error) {
        struct end *e = (struct end *)socket;

        e->n_ended++;
        e->error = error;
}

static void on_sent(struct net_socket *socket, size_t size) {
        struct end *e = (struct end *)socket;

        e->sent += size;
        e->n_sent++;
}

static const struct net_handler handler = { on_data, on_end, on_sent };

static void end_open_on(struct end *e, int fd, int peer) {
        *e = (struct end){ .peer = peer };
        assert_int_equal(net_socket_add(net, &e->socket, fd, &handler), 0);
}

static void end_open(struct end *e) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        end_open_on(e, pair[0], pair[1]);
}

static size_t say(struct end *e, uint64_t position, size_t size) {
        static uint8_t data[1 << 20];
        ssize_t n;

        assert_true(size <= sizeof(data));
        fill(data, position, size);
        n = write(e->peer, data, size);
        return n < 0 ? 0 : (size_t)n;
}

static int turn(uint64_t timeout_ns) {
        uint64_t now = clock_now_ns();
        int r = net_wait(net, now, timeout_ns == UINT64_MAX ? UINT64_MAX : now + timeout_ns);

        assert_true(r >= 0);
        net_dispatch(net);
        turns++;
        return r;
}

/* A few turns that do not sleep: whatever is on its way comes, and the loop comes to rest. */
static void settle(void) {
        for (int i = 0; i < 200; i++)
                turn(0);
}

#define TURN_UNTIL(condition)                                                                                                              \
        do {                                                                                                                               \
                uint64_t until_ = clock_now_ns() + PATIENCE_NS;                                                                            \
                while (!(condition)) {                                                                                                     \
                        assert_true(clock_now_ns() < until_);                                                                              \
                        turn(NS_PER_MS * 10);                                                                                              \
                }                                                                                                                          \
        } while (0)

static int setup(void **state) {
        const char *why;

        assert_int_equal(net_new(loop_of_test(), &net, &why), 0);
        assert_int_equal(net_loop(net), loop_of_test());
        turns = 0;
        return 0;
}

static int teardown(void **state) {
        assert_int_equal(net_kept(net), 0);
        net = net_free(net);
        return 0;
}

/* Receiving ------------------------------------------------------------------------------------------------------------- */

static void test_data_comes_and_then_the_end(void **state) {
        struct end e;

        end_open(&e);
        settle();
        assert_int_equal(e.n_data, 0);
        assert_int_equal(say(&e, 0, 10), 10);
        TURN_UNTIL(e.received == 10);
        assert_int_equal(say(&e, 10, 10), 10);
        TURN_UNTIL(e.received == 20);
        /* Both at once, and told one after the other: what was said can be answered. */
        assert_int_equal(say(&e, 20, 5), 5);
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
        assert_int_equal(net_send(&e.socket, &iov, 1), sizeof(unread));
        e.peer = fd_close(e.peer);
        TURN_UNTIL(e.n_ended);
        assert_int_equal(e.error, -ECONNRESET);
        settle();
        assert_int_equal(e.n_ended, 1);
        end_close(&e);
}

static void test_many_bytes_come_in_order_piece_by_piece(void **state) {
        enum { TOTAL = 20 << 20 };
        uint64_t said = 0;
        struct end e, other;

        end_open(&e);
        end_open(&other);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS; e.received < TOTAL;) {
                uint64_t before = other.received;

                assert_true(clock_now_ns() < until);
                said += said < TOTAL ? say(&e, said, MIN((uint64_t)TOTAL - said, UINT64_C(1) << 20)) : 0;
                assert_int_equal(say(&other, other.received, 1), 1);
                e.in_turn = e.n_data = other.n_data = 0;
                turn(0);
                assert_true(e.n_data <= 1 && other.n_data <= 1); /* who holds what he cannot take has room for one piece */
                e.most_in_turn = MAX(e.most_in_turn, e.in_turn);
                /* Who has little to say has his turn as well. */
                assert_int_equal(other.received, before + 1);
        }
        assert_int_equal(e.received, TOTAL);
        assert_in_range(e.most_in_turn, 1, 2 * NET_RECEIVE_MAX);
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
                        assert_int_equal(say(&ends[i], ends[i].received, 100), 100);
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

/* Back-pressure --------------------------------------------------------------------------------------------------------- */

static void test_who_is_not_wanted_waits(void **state) {
        struct end e;

        end_open(&e);
        net_receive(&e.socket, false);
        settle();
        assert_int_equal(say(&e, 0, 100), 100);
        settle();
        assert_int_equal(say(&e, 100, 100), 100);
        settle();
        assert_int_equal(e.received, 0);
        net_receive(&e.socket, true);
        TURN_UNTIL(e.received == 200);
        /* And as before. */
        assert_int_equal(say(&e, 200, 100), 100);
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
                        n = say(&e, said, 1 << 20);
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
                said += said < TOTAL ? say(&e, said, MIN((uint64_t)TOTAL - said, i * 977 % 30000)) : 0;
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
        assert_int_equal(say(&e, 0, 100), 100);
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
                        assert_int_equal(say(&e, 0, 100), 100);
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

/* Removing -------------------------------------------------------------------------------------------------------------- */

static void test_who_is_removed_is_gone_for_its_peer(void **state) {
        struct pollfd p = { .events = POLLIN };
        struct end e;

        end_open(&e);
        settle();
        p.fd = e.peer;
        assert_int_equal(poll(&p, 1, 0), 0);
        net_socket_remove(&e.socket);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS; !(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP));) {
                assert_true(clock_now_ns() < until);
                turn(0);
        }
        e.peer = fd_close(e.peer);
}

static void test_a_callback_removes_another_and_itself(void **state) {
        struct end a, b;

        for (int self = 0; self < 2; self++) {
                end_open(&a);
                end_open(&b);
                settle();
                a.victim = self ? &a : &b;
                b.victim = self ? &b : &a;
                assert_int_equal(say(&a, 0, 100), 100);
                assert_int_equal(say(&b, 0, 100), 100);
                TURN_UNTIL(a.n_data + b.n_data == (self ? 2 : 1));
                settle();
                assert_int_equal(a.n_data + b.n_data, self ? 2 : 1);
                assert_int_equal(a.n_ended + b.n_ended, 0);
                end_close(&a);
                end_close(&b);
        }
}

/* What was under way for who is gone is nobody else's, whoever has its place and its descriptor since. */
static void test_what_comes_late_goes_to_nobody(void **state) {
        struct end e[8], next[8];

        for (int round = 0; round < 50; round++) {
                for (unsigned i = 0; i < N_ELEMENTS(e); i++)
                        end_open(&e[i]);
                if (round % 3) /* else it has not even begun, and the next one has its descriptor */
                        turn(0);
                for (unsigned i = 0; i < N_ELEMENTS(e); i++)
                        assert_true(say(&e[i], 1000, 5000) > 0); /* not what the next one expects */
                if (round % 2)
                        assert_true(net_wait(net, 0, 0) >= 0); /* it has come, and was not looked at */
                for (unsigned i = 0; i < N_ELEMENTS(e); i++) {
                        end_close(&e[i]);
                        end_open(&next[i]);
                        assert_int_equal(say(&next[i], 0, 10), 10);
                }
                memset(e, 0xff, sizeof(e));
                for (unsigned i = 0; i < N_ELEMENTS(e); i++) {
                        TURN_UNTIL(next[i].received == 10);
                        assert_false(next[i].wrong);
                        end_close(&next[i]);
                }
        }
}

static void test_connections_come_and_go(void **state) {
        struct end *ends = calloc(MANY, sizeof(*ends));

        assert_non_null(ends);
        for (unsigned round = 0; round < 5; round++) {
                for (unsigned i = 0; i < MANY; i++)
                        end_open(&ends[i]);
                turn(0);
                for (unsigned i = 0; i < MANY; i++)
                        end_close(&ends[i]);
        }
        settle();
        free(ends);
}

/* Sending --------------------------------------------------------------------------------------------------------------- */

static uint64_t hear(struct end *e, uint64_t position) {
        static uint8_t data[1 << 20];
        ssize_t n = read(e->peer, data, sizeof(data));

        for (ssize_t i = 0; i < n; i++)
                assert_int_equal(data[i], byte_at(position + (uint64_t)i));
        return n < 0 ? 0 : (uint64_t)n;
}

static void send_much(struct end *e) {
        enum { TOTAL = 8 << 20 };
        uint8_t *data = malloc(TOTAL);
        uint64_t sent = 0, heard = 0;
        unsigned n_turns = 0;

        assert_non_null(data);
        fill(data, 0, TOTAL);
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
                                heard += hear(e, heard);
                                turn(NS_PER_MS);
                                assert_true(clock_now_ns() < until);
                        }
                }
                heard += hear(e, heard);
        }
        assert_int_equal(heard, TOTAL);
        assert_true(e->n_sent > 3);
        free(data);
}

static void test_sending_goes_on_when_there_is_room(void **state) {
        struct end e;

        end_open(&e);
        send_much(&e);
        assert_int_equal(say(&e, 0, 10), 10);
        TURN_UNTIL(e.received == 10);
        send_much(&e);
        end_close(&e);
}

static void test_sending_to_who_has_said_his_last(void **state) {
        uint64_t before;
        struct end e;

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
        before = clock_now_ns();
        assert_int_equal(turn(20 * NS_PER_MS), 0);
        assert_true(clock_now_ns() - before >= 19 * NS_PER_MS);
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
        fill(data, 0, TOTAL);
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
                                heard += hear(&e, heard);
                                turn(NS_PER_MS);
                                assert_true(clock_now_ns() < until);
                        }
                }
                heard += hear(&e, heard);
        }
        assert_int_equal(net_send_file(&e.socket, fd, TOTAL, 1), -ENODATA);
        end_close(&e);
}

/* Accepting ------------------------------------------------------------------------------------------------------------- */

struct door {
        struct net_listener listener;
        unsigned n_accepted, stop_at;
        int failed;
        struct sockaddr_storage last;
        int fds[64];
        struct net *net;
};

static void on_accept(struct net_listener *listener, int fd, const struct sockaddr_storage *address) {
        struct door *d = listener->owner;

        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(d->n_accepted < N_ELEMENTS(d->fds));
        d->fds[d->n_accepted++] = fd;
        d->last = *address;
        if (d->n_accepted == d->stop_at)
                net_listen(d->net, listener, false);
}

static void on_failed(struct net_listener *listener, int error) {
        struct door *d = listener->owner;

        d->failed = error;
        net_listen(d->net, listener, false);
}

static void door_open(struct door *d, struct net *on, int fd, bool shared) {
        *d = (struct door){ .net = on };
        assert_int_equal(net_listener_init(&d->listener, fd, shared, on_accept, on_failed, d), 0);
        net_listen(on, &d->listener, true);
}

static void door_close(struct door *d) {
        while (d->n_accepted)
                close(d->fds[--d->n_accepted]);
}

static int listen_on_tcp(struct sockaddr_in *ret_address) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(fd, 128), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        *ret_address = address;
        return fd;
}

static int connect_to(const struct sockaddr_in *address) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
        return fd;
}

static void test_accepting(void **state) {
        _cleanup_close_ int fd = -1;
        struct sockaddr_in address, peer;
        socklen_t size = sizeof(peer);
        int clients[20], delay = 0;
        struct door d;

        fd = listen_on_tcp(&address);
        clients[0] = connect_to(&address);
        door_open(&d, net, fd, false);
        TURN_UNTIL(d.n_accepted == 1);
        for (unsigned i = 1; i < N_ELEMENTS(clients); i++)
                clients[i] = connect_to(&address);
        TURN_UNTIL(d.n_accepted == N_ELEMENTS(clients));
        assert_int_equal(getsockname(clients[N_ELEMENTS(clients) - 1], (struct sockaddr *)&peer, &size), 0);
        assert_memory_equal(&d.last, &peer, sizeof(peer));
        size = sizeof(delay);
        assert_int_equal(getsockopt(d.fds[0], IPPROTO_TCP, TCP_NODELAY, &delay, &size), 0);
        assert_int_equal(delay, 1);
        for (unsigned i = 0; i < N_ELEMENTS(clients); i++)
                close(clients[i]);
        door_close(&d);
}

static void test_accepting_stops_and_goes_on(void **state) {
        _cleanup_close_ int fd = -1;
        struct sockaddr_in address;
        unsigned n, before;
        int clients[20];
        struct door d;

        fd = listen_on_tcp(&address);
        door_open(&d, net, fd, false);
        d.stop_at = 1;
        clients[0] = connect_to(&address);
        TURN_UNTIL(d.n_accepted == 1);
        /* What is under way comes, if any; then nobody. */
        settle();
        before = d.n_accepted;
        for (n = 1; n < N_ELEMENTS(clients); n++)
                clients[n] = connect_to(&address);
        settle();
        assert_int_equal(d.n_accepted, before);
        net_listen(net, &d.listener, true);
        TURN_UNTIL(d.n_accepted == N_ELEMENTS(clients));
        /* Off and on before the loop has turned. */
        net_listen(net, &d.listener, false);
        net_listen(net, &d.listener, true);
        close(clients[0]);
        clients[0] = connect_to(&address);
        TURN_UNTIL(d.n_accepted == N_ELEMENTS(clients) + 1);
        for (unsigned i = 0; i < N_ELEMENTS(clients); i++)
                close(clients[i]);
        door_close(&d);
}

/* Two loops, as two processes would: a turn takes one and leaves the next to the other. */
static void test_a_shared_door_is_passed_one_by_one(void **state) {
        _cleanup_close_ int fd = -1;
        struct sockaddr_in address;
        struct net *nets[2] = { net };
        struct door doors[2];
        const char *why;
        int clients[20];

        assert_int_equal(net_new(loop_of_test(), &nets[1], &why), 0);
        fd = listen_on_tcp(&address);
        for (unsigned i = 0; i < 2; i++)
                door_open(&doors[i], nets[i], fd, true);
        for (unsigned i = 0; i < N_ELEMENTS(clients); i++)
                clients[i] = connect_to(&address);
        for (uint64_t until = clock_now_ns() + PATIENCE_NS, i = 0; doors[0].n_accepted + doors[1].n_accepted < N_ELEMENTS(clients); i++) {
                unsigned before = doors[i % 2].n_accepted;

                assert_true(clock_now_ns() < until);
                net = nets[i % 2];
                turn(0);
                assert_in_range(doors[i % 2].n_accepted - before, 0, 1);
        }
        assert_in_range(doors[0].n_accepted, 9, 11);
        net_free(nets[1]);
        net = nets[0];
        for (unsigned i = 0; i < N_ELEMENTS(clients); i++)
                close(clients[i]);
        door_close(&doors[0]);
        door_close(&doors[1]);
}

static void test_no_descriptor_is_left(void **state) {
        _cleanup_close_ int fd = -1;
        struct rlimit limit, low;
        struct sockaddr_in address;
        int clients[2];
        struct door d;

        fd = listen_on_tcp(&address);
        for (unsigned i = 0; i < N_ELEMENTS(clients); i++)
                clients[i] = connect_to(&address);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = limit;
        low.rlim_cur = (rlim_t)clients[1] + 2; /* one more */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        door_open(&d, net, fd, false);
        TURN_UNTIL(d.failed);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(d.failed, -EMFILE);
        settle();
        assert_int_equal(d.n_accepted, 1);
        net_listen(net, &d.listener, true);
        TURN_UNTIL(d.n_accepted == 2);
        for (unsigned i = 0; i < N_ELEMENTS(clients); i++)
                close(clients[i]);
        door_close(&d);
}

/* Watching -------------------------------------------------------------------------------------------------------------- */

struct bell {
        struct net_watch watch;
        unsigned n_ready, n_hung_up;
        bool drains;
};

static void on_ready(struct net_watch *watch, bool hung_up) {
        struct bell *b = (struct bell *)watch;
        char c[16];

        b->n_ready++;
        b->n_hung_up += hung_up;
        if (b->drains)
                assert_true(read(watch->fd, c, sizeof(c)) >= 0);
}

static void test_an_edge_is_told_for_each_ring(void **state) {
        struct bell b = { .watch.on_ready = on_ready };
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(net_watch_add(net, &b.watch, fds[0], true), 0);
        TURN_UNTIL(b.n_ready);
        for (int i = 0; i < 10; i++) {
                unsigned before;

                settle();
                before = b.n_ready;
                turn(0);
                assert_int_equal(b.n_ready, before); /* it is told once, read or not */
                assert_int_equal(write(fds[1], "x", 1), 1);
                TURN_UNTIL(b.n_ready > before);
        }
        assert_int_equal(b.n_hung_up, 0);
        close(fds[1]);
        TURN_UNTIL(b.n_hung_up);
        net_watch_remove(net, &b.watch);
        settle();
        close(fds[0]);
}

static void test_a_level_is_told_as_long_as_it_is_there(void **state) {
        struct bell b = { .watch.on_ready = on_ready };
        unsigned before;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(net_watch_add(net, &b.watch, fds[0], false), 0);
        settle();
        assert_int_equal(b.n_ready, 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        TURN_UNTIL(b.n_ready >= 5);
        b.drains = true;
        TURN_UNTIL(b.n_ready >= 6);
        settle();
        before = b.n_ready;
        settle();
        assert_int_equal(b.n_ready, before);
        net_watch_remove(net, &b.watch);
        assert_int_equal(write(fds[1], "x", 1), 1);
        settle();
        assert_int_equal(b.n_ready, before);
        /* The same one again. */
        assert_int_equal(net_watch_add(net, &b.watch, fds[0], false), 0);
        TURN_UNTIL(b.n_ready > before);
        close(fds[1]);
        TURN_UNTIL(b.n_hung_up);
        net_watch_remove(net, &b.watch);
        close(fds[0]);
}

/* Time ------------------------------------------------------------------------------------------------------------------ */

static void test_waiting(void **state) {
        uint64_t begin = clock_now_ns();
        struct end e;

        assert_int_equal(net_wait(net, begin, begin), 0);
        assert_int_equal(net_wait(net, begin, 0), 0);
        assert_int_equal(net_wait(net, begin, begin + 15 * NS_PER_MS), 0);
        assert_true(clock_now_ns() - begin >= 14 * NS_PER_MS);
        end_open(&e);
        assert_int_equal(say(&e, 0, 1), 1);
        TURN_UNTIL(e.received);
        assert_false(net_pending(net));
        assert_int_equal(say(&e, 1, 1), 1);
        assert_int_equal(net_wait(net, clock_now_ns(), UINT64_MAX), 1);
        net_dispatch(net);
        TURN_UNTIL(e.received == 2);
        end_close(&e);
}

/* The choice ------------------------------------------------------------------------------------------------------------ */

/* As on a host that does not permit io_uring. */
static void refuse_uring(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { N_ELEMENTS(code), code };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                _exit(1);
}

static int without_uring(void) {
        const char *why;
        struct net *n;

        refuse_uring();
        if (net_new(GATEWAY_LOOP_URING, &n, &why) != -EPERM || !why || !strstr(why, "kernel.io_uring_disabled"))
                return 2;
        if (net_new(GATEWAY_LOOP_AUTO, &n, &why) != 0 || net_loop(n) != GATEWAY_LOOP_EPOLL || !why)
                return 3;
        net_free(n);
        if (net_new(GATEWAY_LOOP_EPOLL, &n, &why) != 0 || why)
                return 4;
        net_free(n);
        return 0;
}

static void test_a_host_without_io_uring(void **state) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(without_uring());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_data_comes_and_then_the_end),
                TEST(test_a_connection_that_breaks),
                TEST(test_many_bytes_come_in_order_piece_by_piece),
                TEST(test_more_connections_than_buffers),
                TEST(test_who_is_not_wanted_waits),
                TEST(test_who_is_not_wanted_cannot_say_without_end),
                TEST(test_on_and_off_loses_nothing),
                TEST(test_an_end_behind_what_is_not_wanted_waits_too),
                TEST(test_a_break_is_told_who_is_wanted_or_not),
                TEST(test_who_is_removed_is_gone_for_its_peer),
                TEST(test_a_callback_removes_another_and_itself),
                TEST(test_what_comes_late_goes_to_nobody),
                TEST(test_connections_come_and_go),
                TEST(test_sending_goes_on_when_there_is_room),
                TEST(test_sending_to_who_has_said_his_last),
                TEST(test_sending_to_who_is_gone),
                TEST(test_a_file_is_sent_in_pieces),
                TEST(test_accepting),
                TEST(test_accepting_stops_and_goes_on),
                TEST(test_a_shared_door_is_passed_one_by_one),
                TEST(test_no_descriptor_is_left),
                TEST(test_an_edge_is_told_for_each_ring),
                TEST(test_a_level_is_told_as_long_as_it_is_there),
                TEST(test_waiting),
                TEST(test_a_host_without_io_uring),
        };

        return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
