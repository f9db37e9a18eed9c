/* SPDX-License-Identifier: Apache-2.0
 *
 * Links to somebody who does not read: order, nothing lost, and an end to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/base/base.h"

struct fixture {
        struct base base;
        struct link link;
        int peer;
        unsigned n_ends;
};

static void on_record(struct base *base, void *userdata, struct control_record *record) {
}

static void on_end(struct base *base, void *userdata, const char *why) {
        struct fixture *f = userdata;

        f->n_ends++;
        link_stop(base, &f->link);
}

static int setup(void **state) {
        static struct fixture f;
        int pair[2];

        f = (struct fixture){ .base.epoll_fd = loop_new() };
        assert_int_equal(fd_socketpair(pair), 0);
        f.peer = pair[1];
        assert_int_equal(link_start(&f.base, &f.link, pair[0], CONTROL_MANAGER, on_record, on_end, &f), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        struct fixture *f = *state;

        link_stop(&f->base, &f->link);
        close(f->peer);
        close(f->base.epoll_fd);
        return 0;
}

static int send_one(struct fixture *f, uint64_t request, int fd) {
        return LINK_SEND(&f->base, &f->link, FILE_RESULT, request, &fd, fd >= 0, .error = 0);
}

static void test_what_waits_arrives_in_order(void **state) {
        struct fixture *f = *state;
        struct control_record record;
        uint64_t sent = 0, got = 0;

        while (f->link.unsent.n < 100)
                assert_int_equal(send_one(f, sent++, -1), 0);
        while (got < sent) {
                int r = control_receive(f->peer, CONTROL_BASE, CONTROL_MANAGER, &record);

                if (r == CONTROL_E_AGAIN) {
                        assert_int_equal(loop_turn(&f->base, 0), 0);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_int_equal(record.header.request, got++);
        }
        assert_int_equal(f->link.unsent.n, 0);
        assert_int_equal(f->n_ends, 0);
}

static void test_who_never_reads_is_given_up(void **state) {
        struct fixture *f = *state;
        int r = 0;

        for (uint64_t i = 0; !r && i < 2 * LINK_UNSENT_MAX; i++)
                r = send_one(f, i, -1);
        assert_true(r < 0);
        assert_int_equal(f->n_ends, 1);
        assert_int_equal(f->link.unsent.n, 0);
        assert_int_equal(send_one(f, 1, -1), 0); /* no link, no error */
        assert_int_equal(f->n_ends, 1);
}

/* A record that is not sent for want of a descriptor would be missed for ever. */
static void test_a_record_that_is_lost_ends_the_link(void **state) {
        struct fixture *f = *state;
        struct rlimit before, none = { 0 };
        int r = 0;

        while (!f->link.unsent.n)
                assert_int_equal(send_one(f, 1, -1), 0);
        assert_return_code(getrlimit(RLIMIT_NOFILE, &before), 0);
        none.rlim_max = before.rlim_max;
        assert_return_code(setrlimit(RLIMIT_NOFILE, &none), 0);
        r = send_one(f, 2, STDIN_FILENO);
        assert_return_code(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(r < 0);
        assert_int_equal(f->n_ends, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_waits_arrives_in_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_never_reads_is_given_up, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_record_that_is_lost_ends_the_link, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
