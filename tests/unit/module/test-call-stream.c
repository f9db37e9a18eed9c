/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of a caller whose callee refuses, dies or goes on for too long.
 */
#include "tests/unit/module/call-fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ipc/errors.h"
#include "ipc/frame.h"

/* Streams ------------------------------------------------------------------------------------------------------------- */

/* Opens one, reads to its end, and frees it. */
struct reading {
        struct socle_stream *stream;
        bool finish; /* does not read, but waits for the answer */
        size_t got;
        int result;
        bool done;
        char detail[ERROR_DETAIL_SIZE];
};

static void reading_main(void *arg) {
        struct reading *reading = arg;
        uint8_t bytes[512];
        size_t n = 1;

        reading->result = socle_stream_open("kv.get", NULL, NULL, &reading->stream);
        if (!reading->result && reading->finish)
                reading->result = socle_stream_finish(reading->stream, NULL);
        while (!reading->result && n && !reading->finish) {
                n = 0;
                reading->result = socle_stream_read(reading->stream, bytes, sizeof(bytes), &n);
                reading->got += n;
        }
        snprintf(reading->detail, sizeof(reading->detail), "%s", socle_error_detail());
        reading->stream = socle_stream_free(reading->stream);
        reading->done = true;
}

/* Two instances, and a stream that the first of them has. */
static uint64_t open_stream(struct reading *reading, struct callee c[2]) {
        struct edge_message m;

        publish(2);
        turns();
        worker_resume(coroutine_new(reading_main, reading));
        turns();
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        receive(&c[0], FRAME_REQUEST, &m);
        assert_true(m.frame.flags & FRAME_STREAM);
        return m.frame.correlation;
}

static void send_part(struct callee *c, uint64_t correlation, enum frame_kind kind, const void *data, uint32_t size) {
        send_frame(c, (struct frame){ .kind = (uint8_t)kind, .flags = FRAME_STREAM, .correlation = correlation }, data, size);
}

static void test_a_stream_that_is_refused_goes_to_another(void **state) {
        struct reading reading = { 0 };
        struct edge_message m;
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        reply_error_code(&c[0], id, ERROR_NOT_STARTED);
        receive(&c[1], FRAME_REQUEST, &m);
        send_part(&c[1], m.frame.correlation, FRAME_DATA, "abc", 3);
        reply(&c[1], m.frame.correlation, "all");
        assert_true(reading.done && reading.result == 0 && reading.got == 3);
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

/* Whatever an instance says: of what it has moved another one would get, or send, the rest for the whole. */
static void moved_and_refused(bool finish, enum frame_kind kind, const void *data, uint32_t size, uint16_t error) {
        struct reading reading = { .finish = finish };
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        send_part(&c[0], id, kind, data, size);
        assert_false(reading.done);
        reply_error_code(&c[0], id, error);
        receive_nothing(&c[1]);
        assert_true(reading.done);
        assert_int_equal(reading.result, SOCLE_E_BAD_REPLY);
        assert_non_null(strstr(reading.detail, "has not begun what it has"));
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

static void test_a_stream_that_has_moved_is_not_repeated(void **state) {
        moved_and_refused(false, FRAME_DATA, "x", 1, ERROR_NOT_STARTED);
}

static void test_a_stream_that_has_moved_is_not_repeated_elsewhere(void **state) {
        moved_and_refused(false, FRAME_DATA, "x", 1, ERROR_OVERLOADED);
}

static void test_a_stream_that_has_ended_is_not_repeated(void **state) {
        moved_and_refused(true, FRAME_END, NULL, 0, ERROR_MOVED);
}

/* It has never said that it began it, and died. */
static void test_a_stream_that_had_moved_when_its_worker_died(void **state) {
        struct reading reading = { 0 };
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        send_part(&c[0], id, FRAME_DATA, "x", 1);
        die(&c[0]);
        assert_true(reading.done);
        assert_int_equal(reading.result, SOCLE_E_PEER_DIED);
        receive_nothing(&c[1]);
        edge_free(c[1].edge);
}

static void send_parts(struct callee *c, uint64_t correlation, int n, uint32_t size) {
        static const uint8_t bytes[900];
        struct frame frame = { .kind = FRAME_DATA, .flags = FRAME_STREAM, .correlation = correlation };

        for (; n; n--) {
                assert_int_equal(edge_send(c->edge, &frame, bytes, size, NULL), 0);
                edge_flush(c->edge);
                turn();
        }
}

/* Who writes byte by byte has sent many when the caller's going reaches him: that is no more than he was allowed. */
static void test_what_still_comes_of_a_stream_that_was_given_up(void **state) {
        struct reading reading = { 0 };
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        send_part(&c[0], id, FRAME_END, NULL, 0);
        assert_true(reading.done);
        send_parts(&c[0], id, 1000, 1);
        told_nothing();
        send_parts(&c[0], id, 2 * 65536 / 900, 900);
        assert_int_equal(told(CONTROL_KIND_EDGE_POISONED).EDGE_POISONED.reason, VIOLATION_STREAM);
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_stream_that_is_refused_goes_to_another),          TEST(test_a_stream_that_has_moved_is_not_repeated),
                TEST(test_a_stream_that_has_moved_is_not_repeated_elsewhere), TEST(test_a_stream_that_has_ended_is_not_repeated),
                TEST(test_a_stream_that_had_moved_when_its_worker_died),      TEST(test_what_still_comes_of_a_stream_that_was_given_up),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
