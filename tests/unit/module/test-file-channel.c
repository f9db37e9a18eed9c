/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of files to a gateway, and what waits for it.
 */
#include "tests/unit/module/serve-fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"

/* A request for one has come, and the manager is asked for a channel. */
static uint64_t ask_for_file_of(struct world *w, off_t size) {
        struct control_record record;
        char folder[] = "/tmp/serve-XXXXXX";
        int fd;

        assert_non_null(mkdtemp(folder));
        the_worker.start.work = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd = openat(the_worker.start.work, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, size), 0);
        fd_close(fd);
        send_request(w, 1, "/file", "");
        turn(0);
        unlinkat(the_worker.start.work, "file", 0);
        rmdir(folder);
        the_worker.start.work = fd_close(the_worker.start.work);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_FILE_CHANNEL_ASK);
        assert_int_equal(record.FILE_CHANNEL_ASK.peer, 7);
        return record.header.request;
}

/* Too large to be copied. */
static uint64_t ask_for_file(struct world *w) {
        return ask_for_file_of(w, 3 << 20);
}

static void expect_nothing(struct world *w, int channel) {
        struct control_record record;
        struct edge_message m;

        turn(0);
        turn(0);
        assert_int_equal(control_receive(channel, CONTROL_WORKER, CONTROL_GATEWAY, &record), CONTROL_E_AGAIN);
        edge_on_bell(w->caller);
        assert_int_equal(edge_receive(w->caller, &m), EDGE_E_EMPTY);
        edge_arm(w->caller);
}

/* The reply goes another way: before the gateway has its end of the channel, it would speak of a file that is not there. */
static void test_a_file_waits_for_the_gateways_end(void **state) {
        struct world *w = *state;
        uint64_t request = ask_for_file(w);
        struct control_record record;
        int fds[2];

        file_channel_on_open(7, request); /* of one that is not there */
        assert_int_equal(fd_socketpair(fds), 0);
        file_channel_on_answer(7, request, fds[0]);
        expect_nothing(w, fds[1]);
        file_channel_on_open(7, request + 1);
        file_channel_on_open(8, request);
        expect_nothing(w, fds[1]);
        file_channel_on_open(7, request);
        expect_reply(w, 1, 200, NULL);
        assert_int_equal(control_receive(fds[1], CONTROL_WORKER, CONTROL_GATEWAY, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_FILE_PASS);
        assert_int_equal(record.FILE_PASS.correlation, 1);
        control_record_deinit(&record);
        fd_close(fds[1]);
}

static void test_there_is_no_channel_to_be_had(void **state) {
        struct world *w = *state;

        file_channel_on_answer(7, ask_for_file(w), -1);
        expect_error(w, 1, ERROR_UNAVAILABLE);
}

static void test_a_late_refusal_of_an_earlier_request(void **state) {
        struct world *w = *state;
        uint64_t request = ask_for_file(w);
        int fds[2];

        assert_int_equal(fd_socketpair(fds), 0);
        file_channel_on_answer(7, request, fds[0]);
        file_channel_on_answer(7, request - 1, -1);
        file_channel_on_open(7, request);
        expect_reply(w, 1, 200, NULL);
        fd_close(fds[1]);
}

/* No OPEN comes of a gateway that had no descriptor left for its end. */
static void test_the_gateway_closes_its_end_unseen(void **state) {
        struct world *w = *state;
        uint64_t request = ask_for_file_of(w, 32 << 10);
        int fds[2];

        assert_int_equal(fd_socketpair(fds), 0);
        fd_close(fds[1]);
        file_channel_on_answer(7, request, fds[0]);
        expect_reply(w, 1, 200, NULL); /* copied */
        assert_int_equal(the_worker.connections->files.fd, -1);
        assert_true(the_worker.connections->files.lost);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_file_waits_for_the_gateways_end),
                TEST(test_there_is_no_channel_to_be_had),
                TEST(test_a_late_refusal_of_an_earlier_request),
                TEST(test_the_gateway_closes_its_end_unseen),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
