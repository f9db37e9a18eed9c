/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that does not read for a while loses nothing, and one that never reads
 * costs a bounded amount.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include <event2/event.h>

#include "ipc/fd.h"
#include "supervisor/manager/outbox.h"

static struct event_base *loop;
static int ours, peer;

static int setup(void **state) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        ours = pair[0];
        peer = pair[1];
        loop = event_base_new();
        outbox_start(loop);
        return 0;
}

static int teardown(void **state) {
        outbox_forget(ours);
        close(ours);
        close(peer);
        event_base_free(loop);
        return 0;
}

static int ready(uint64_t edge) {
        struct control_edge_ready body = { .edge = edge };
        int fds[2] = { STDIN_FILENO, STDIN_FILENO };

        return outbox_send(ours, CONTROL_KIND_EDGE_READY, edge, &body, sizeof(body), fds, 2);
}

static unsigned n_open(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

/* Such an edge was lost: the gateway asked again after ten seconds. */
static void test_an_edge_for_a_full_link_arrives(void **state) {
        unsigned before = n_open();
        struct control_record record;
        uint64_t sent = 0, got = 0;

        while (n_open() < before + 100)
                assert_int_equal(ready(sent++), 0);
        while (got < sent) {
                int r = control_receive(peer, CONTROL_MANAGER, CONTROL_GATEWAY, &record);

                if (r == CONTROL_E_AGAIN) {
                        assert_int_equal(event_base_loop(loop, EVLOOP_ONCE), 0);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_int_equal(record.EDGE_READY.edge, got++);
                assert_int_equal(record.n_fds, 2);
                control_record_deinit(&record);
        }
        assert_int_equal(n_open(), before);
}

static void test_who_never_reads_is_bounded(void **state) {
        unsigned before = n_open(), n = 0;
        int r;

        while (!(r = ready(n)))
                assert_true(n++ < 10000);
        assert_int_equal(r, -ENOBUFS);
        assert_true(n >= OUTBOX_MAX);
        outbox_forget(ours);
        assert_int_equal(n_open(), before);
}

static void test_a_peer_that_is_gone(void **state) {
        close(peer);
        assert_int_equal(ready(1), CONTROL_E_CLOSED);
        peer = -1;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_an_edge_for_a_full_link_arrives, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_never_reads_is_bounded, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_peer_that_is_gone, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
