/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepting, whatever the loop is made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "tests/unit/gateway/ends.h"
#include "tests/unit/gateway/loop.h"

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

/* Of all who accept from a socket one is woken. Who is that and leaves takes along whom it was woken for. */
static void leaves(bool shared) {
        _cleanup_close_ int fd = -1, first = -1, second = -1, other = -1;
        struct sockaddr_in address;
        struct door d, next;
        struct net *net_of_next;
        const char *why;

        fd = listen_on_tcp(&address);
        other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        assert_int_equal(net_new(loop_of_test(), &net_of_next, &why), 0);
        door_open(&d, net, fd, shared);
        settle();
        door_open(&next, net_of_next, other, shared);
        assert_true(net_wait(net_of_next, 0, 0) >= 0);
        first = connect_to(&address);
        net_listener_leave(net, &d.listener);
        second = connect_to(&address);
        settle();
        assert_int_equal(d.n_accepted, 1);
        while (!next.n_accepted) {
                assert_true(net_wait(net_of_next, 0, UINT64_MAX) >= 0);
                net_dispatch(net_of_next);
        }
        door_close(&d);
        door_close(&next);
        net_listener_leave(net_of_next, &next.listener);
        net_free(net_of_next);
}

static void test_leaving_takes_who_waits(void **state) {
        leaves(false);
        leaves(true);
}

/* What is left of one that was killed may stand before us in the queue of who is woken. */
static void test_a_dead_one_keeps_nobody(void **state) {
        _cleanup_close_ int fd = -1, dead_fd = -1, client = -1;
        struct sockaddr_in address;
        struct door dead, d;
        struct net *net_of_dead;
        const char *why;

        fd = listen_on_tcp(&address);
        dead_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        assert_int_equal(net_new(loop_of_test(), &net_of_dead, &why), 0);
        door_open(&dead, net_of_dead, dead_fd, false);
        assert_true(net_wait(net_of_dead, 0, 0) >= 0);
        door_open(&d, net, fd, false);
        settle();
        client = connect_to(&address);
        for (int i = 0; i < 1000 && !d.n_accepted; i++)
                turn(NS_PER_MS);
        assert_int_equal(d.n_accepted, 1);
        door_close(&d);
        net_free(net_of_dead);
}

/* In the place of the library's: so that the loop runs out of memory when we say. */
static bool no_memory;
void *reallocarray(void *memory, size_t n, size_t size);
void *reallocarray(void *memory, size_t n, size_t size) {
        if (no_memory) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(memory, n * size);
}

static void on_watch(struct net_watch *watch, bool hung_up) {
}

static void test_a_listener_that_has_no_place_is_told(void **state) {
        static struct net_watch watches[128];
        _cleanup_close_ int fd = -1, client = -1, idle = eventfd(0, EFD_CLOEXEC);
        struct sockaddr_in address;
        struct door d;
        unsigned n = 0;

        fd = listen_on_tcp(&address);
        no_memory = true;
        for (; n < N_ELEMENTS(watches); n++) {
                int copy = dup(idle);

                watches[n] = (struct net_watch){ .on_ready = on_watch };
                if (net_watch_add(net, &watches[n], copy, false) < 0) {
                        close(copy);
                        break;
                }
        }
        if (n == N_ELEMENTS(watches))
                skip(); /* epoll keeps no places */
        door_open(&d, net, fd, false);
        no_memory = false;
        assert_int_equal(d.failed, -ENOMEM);
        /* It may be tried again. */
        net_listen(net, &d.listener, true);
        client = connect_to(&address);
        TURN_UNTIL(d.n_accepted == 1);
        while (n--) {
                int copy = watches[n].fd;

                net_watch_remove(net, &watches[n]);
                close(copy);
        }
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

int main(void) {
        const struct CMUnitTest tests[] = {
                ENDS_TEST(test_accepting),
                ENDS_TEST(test_leaving_takes_who_waits),
                ENDS_TEST(test_a_dead_one_keeps_nobody),
                ENDS_TEST(test_accepting_stops_and_goes_on),
                ENDS_TEST(test_a_listener_that_has_no_place_is_told),
                ENDS_TEST(test_a_shared_door_is_passed_one_by_one),
                ENDS_TEST(test_no_descriptor_is_left),
        };

        return cmocka_run_group_tests_name("net-accept", tests, NULL, NULL);
}
