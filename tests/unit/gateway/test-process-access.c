/* SPDX-License-Identifier: Apache-2.0
 *
 * A gateway's access log: the test has the other end of the pipe.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/counts.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/front.h"

#define WAIT_MS 30000

static int set(enum control_access_format format, unsigned percent) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        CONTROL_SEND(front.manager, ACCESS_LOG, 0, &fds[1], 1, .format = format, .percent = percent);
        close(fds[1]);
        front_ping();
        return fds[0];
}

static void set_off(void) {
        CONTROL_SEND(front.manager, ACCESS_LOG, 0, NULL, 0, .format = 0);
        front_ping();
}

/* Until the text has the part. */
static void expect_text(int fd, const char *part) {
        char text[65536] = "";
        size_t size = 0;

        while (!strstr(text, part)) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                ssize_t n;

                if (poll(&p, 1, WAIT_MS) != 1)
                        fail_msg("%s does not come behind %s", part, text);
                n = read(fd, text + size, sizeof(text) - 1 - size);
                if (n <= 0)
                        fail_msg("the pipe ends before %s, with %s", part, text);
                size += (size_t)n;
                text[size] = '\0';
        }
}

static void ask(const char *request, int status) {
        int c = client_connect();

        client_send(c, request);
        client_expect_answer(c, status, "");
        close(c);
}

static void test_a_line_says_what_became_of_a_request(void **state) {
        int log = set(ACCESS_JSON, 100);
        struct worker w;
        int c = front_begin(&w, "POST /m/x?y=\"z HTTP/1.1\r\nHost: h\r\nUser-Agent: a\tb\r\nContent-Length: 4\r\n\r\nbody");

        client_expect_reply(c, &w, "reply");
        expect_text(log, "\"client\":\"127.0.0.1\",\"method\":\"POST\",\"host\":\"h\",\"path\":\"/m/"
                         "x\",\"query\":\"y=\\\"z\",\"status\":200,\"bytes_in\":4,");
        client_send(c, "GET /m/2 HTTP/1.1\r\nHost: x\r\n\r\n");
        worker_expect(&w, FRAME_REQUEST);
        client_expect_reply(c, &w, "reply");
        expect_text(log, "\"module\":\"m\",\"version\":\"\",\"instance\":1,\"trace\":\"");
        close(c);
        worker_die(&w);
        close(log);
}

static void test_who_goes_away_is_told_of(void **state) {
        int log = set(ACCESS_COMBINED, 100);
        struct worker w;
        int c = front_begin(&w, GET("/m/gone"));

        close(c);
        expect_text(log, "\"GET /m/gone HTTP/1.1\" 499 0 \"-\" \"-\"\n");
        worker_die(&w);
        ask("BAD\r\n\r\n", 400);
        expect_text(log, "127.0.0.1 - - [");
        close(log);
}

static void test_errors_are_always_chosen(void **state) {
        const struct front_module down = { .name = "m", .down = true };
        int log = set(ACCESS_COMBINED, 0);
        char text[4096];
        ssize_t n;

        front_publish(&down, 1);
        for (int i = 0; i < 20; i++)
                ask(GET("/none"), 404);
        ask(GET("/m/error"), 503);
        expect_text(log, "\"GET /m/error HTTP/1.1\" 503 ");
        set_off();
        n = read(log, text, sizeof(text));
        assert_int_equal(n, 0);
        close(log);
}

static struct counts_others others(struct counts_reader *counts) {
        struct counts_others o = { 0 };

        counts_add_others(counts, &o);
        return o;
}

static void test_a_pipe_that_nobody_reads_holds_up_nobody(void **state) {
        static const char request[] = "GET /none/%01000d HTTP/1.1\r\nHost: x\r\n\r\n";
        struct control_record record;
        struct counts_reader *counts;
        char text[2048];
        int log, c = client_connect();
        unsigned n = 0;

        front_expect(CONTROL_KIND_PEER_PAGE, &record);
        assert_int_equal(record.n_fds, 2);
        assert_int_equal(counts_reader_new(&counts, TAKE_FD(record.fds[1])), 0);
        control_record_deinit(&record);
        log = set(ACCESS_COMBINED, 100);
        front_publish_one(1);
        while (!others(counts).lines_lost) {
                assert_true(n < 10000);
                snprintf(text, sizeof(text), request, n++);
                client_send(c, text);
                client_expect_answer(c, 404, "");
        }
        /* What was gathered is not lost, and what comes when there is room again is written. */
        assert_int_equal(others(counts).lines + others(counts).lines_lost, n);
        expect_text(log, "/none/");
        close(log);
        log = set(ACCESS_COMBINED, 100);
        for (int i = 0; i < 300; i++) {
                char buffer[65536];

                (void)!read(log, buffer, sizeof(buffer));
                snprintf(text, sizeof(text), request, 20000 + i);
                client_send(c, text);
                client_expect_answer(c, 404, "");
        }
        expect_text(log, "20299 HTTP/1.1\" 404 ");
        close(log);
        close(c);
        counts_reader_free(counts);
}

/* The manager dies and another comes: its pipe gets what was gathered meanwhile, from the begin of a line on. */
static void test_lines_wait_for_the_next_manager(void **state) {
        int log = set(ACCESS_COMBINED, 100);
        char first[10] = "";
        ssize_t n;

        front_publish_one(1);
        ask(GET("/one"), 404);
        expect_text(log, "/one");
        close(log);
        ask(GET("/two"), 404);
        log = set(ACCESS_COMBINED, 100);
        do {
                struct pollfd p = { .fd = log, .events = POLLIN };

                assert_int_equal(poll(&p, 1, WAIT_MS), 1);
                n = read(log, first, 9);
        } while (n < 0);
        assert_string_equal(first, "127.0.0.1");
        expect_text(log, "/two");
        close(log);
        /* and lines of another form do not go into it */
        log = set(ACCESS_JSON, 100);
        ask(GET("/three"), 404);
        expect_text(log, "{\"time\"");
        close(log);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                FRONT_TEST(test_a_line_says_what_became_of_a_request),
                FRONT_TEST(test_who_goes_away_is_told_of),
                FRONT_TEST(test_errors_are_always_chosen),
                FRONT_TEST(test_a_pipe_that_nobody_reads_holds_up_nobody),
                FRONT_TEST(test_lines_wait_for_the_next_manager),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
