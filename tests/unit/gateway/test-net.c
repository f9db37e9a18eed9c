/* SPDX-License-Identifier: Apache-2.0
 *
 * net.h, whatever the loop is made of: who is removed while it happens, watching,
 * waiting, and which loop it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/ends.h"

/* Removing --------------------------------------------------------------------------------------------------------------- */

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
                assert_int_equal(end_say(&a, 0, 100), 100);
                assert_int_equal(end_say(&b, 0, 100), 100);
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
                        assert_true(end_say(&e[i], 1000, 5000) > 0); /* not what the next one expects */
                if (round % 2)
                        assert_true(net_wait(net, 0, 0) >= 0); /* it has come, and was not looked at */
                for (unsigned i = 0; i < N_ELEMENTS(e); i++) {
                        end_close(&e[i]);
                        end_open(&next[i]);
                        assert_int_equal(end_say(&next[i], 0, 10), 10);
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

/* Watching --------------------------------------------------------------------------------------------------------------- */

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

/* Time ------------------------------------------------------------------------------------------------------------------- */

static void test_waiting(void **state) {
        uint64_t begin = clock_now_ns();
        struct end e;

        assert_int_equal(net_wait(net, begin, begin), 0);
        assert_int_equal(net_wait(net, begin, 0), 0);
        assert_int_equal(net_wait(net, begin, begin + 15 * NS_PER_MS), 1);
        assert_true(clock_now_ns() - begin >= 15 * NS_PER_MS);
        net_dispatch(net);
        /* One that is early enough stays: of a deadline that moves away it wakes once for nothing. */
        begin = clock_now_ns();
        assert_int_equal(net_wait(net, begin - 1, begin), 1);
        net_dispatch(net);
        assert_int_equal(net_wait(net, begin, 0), 0);
        end_open(&e);
        assert_int_equal(end_say(&e, 0, 1), 1);
        TURN_UNTIL(e.received);
        assert_false(net_pending(net));
        assert_int_equal(end_say(&e, 1, 1), 1);
        assert_int_equal(net_wait(net, clock_now_ns(), UINT64_MAX), 1);
        net_dispatch(net);
        TURN_UNTIL(e.received == 2);
        end_close(&e);
}

/* The choice ------------------------------------------------------------------------------------------------------------- */

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

int main(void) {
        const struct CMUnitTest tests[] = {
                ENDS_TEST(test_who_is_removed_is_gone_for_its_peer),
                ENDS_TEST(test_a_callback_removes_another_and_itself),
                ENDS_TEST(test_what_comes_late_goes_to_nobody),
                ENDS_TEST(test_connections_come_and_go),
                ENDS_TEST(test_an_edge_is_told_for_each_ring),
                ENDS_TEST(test_a_level_is_told_as_long_as_it_is_there),
                ENDS_TEST(test_waiting),
                ENDS_TEST(test_a_host_without_io_uring),
        };

        return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
