/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gateway process between stand-ins (front.h): what it does when workers
 * die, move, lie or are late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/front.h"

static void test_a_worker_dies_in_a_request(void **state) {
        struct worker w;
        int c = front_begin(&w, POST("/m"));

        worker_begin(&w);
        worker_die(&w);
        client_expect_answer(c, 502, "PEER_DIED");
        close(c);
}

/* As the manager answers who asks for a dead one because the directory does not say so yet. */
static void grant_refusing_others(uint64_t instance, struct worker *ret_worker) {
        struct control_record record;

        for (;;) {
                front_expect(CONTROL_KIND_EDGE_REQUEST, &record);
                if (record.EDGE_REQUEST.target == instance)
                        break;
                CONTROL_SEND(front.manager, EDGE_REFUSED, record.header.request, NULL, 0, .target = record.EDGE_REQUEST.target,
                             .error = ERROR_UNAVAILABLE);
                control_record_deinit(&record);
        }
        front_accept_edge(&record, ret_worker);
        control_record_deinit(&record);
}

static void test_what_a_dead_worker_had_not_begun_goes_elsewhere(void **state) {
        struct worker w, other;
        int c = front_begin(&w, POST("/m/1") GET("/m/2"));

        worker_begin(&w);
        worker_expect(&w, FRAME_REQUEST);
        worker_die(&w);
        client_expect_answer(c, 502, "PEER_DIED");
        front_publish_one(2);
        grant_refusing_others(2, &other);
        worker_expect(&other, FRAME_REQUEST);
        assert_http_text(other.request.path, "/m/2");
        client_expect_reply(c, &other, "elsewhere");
        client_and_worker_leave(c, &other);
}

/* A request that kills whoever has it kills two at most. */
static void test_what_may_be_done_twice_is_not_done_three_times(void **state) {
        struct worker w, other;
        int c = front_begin(&w, GET("/m/1"));

        worker_begin(&w);
        worker_die(&w);
        front_publish_one(2);
        grant_refusing_others(2, &other);
        worker_expect(&other, FRAME_REQUEST);
        assert_http_text(other.request.path, "/m/1");
        worker_begin(&other);
        worker_die(&other);
        client_expect_answer(c, 502, "PEER_DIED");
        close(c);
}

static void test_a_reply_just_before_the_death_counts(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        worker_begin(&w);
        worker_reply(&w, w.message.frame.correlation, 200, "last words");
        worker_die(&w);
        client_expect_answer(c, 200, "last words");
        close(c);
}

static void test_a_deadline_passes(void **state) {
        const struct front_module m = { .name = "m", .timeout_ms = 50, .instances = { { 1, ACTIVE } } };
        struct control_record record;
        struct worker w;
        uint64_t id;
        int c = front_begin(&w, GET("/m"));

        /* The edge is open now: no time passes between the deadline and the request. */
        client_expect_reply(c, &w, "in time");
        front_publish(&m, 1);
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        id = w.message.frame.correlation;
        client_expect_answer(c, 504, "\"detail\":\"module m gave no answer within request-timeout (");
        worker_expect(&w, FRAME_CANCEL);
        assert_int_equal(w.message.frame.correlation, id);
        front_expect(CONTROL_KIND_TIMED_OUT, &record);
        assert_int_equal(record.TIMED_OUT.instance, 1);
        /* A late reply finds nobody, also not the next request. */
        front_publish_one(1);
        client_send(c, GET("/m/2"));
        worker_expect(&w, FRAME_REQUEST);
        worker_reply(&w, id, 200, "late");
        client_expect_reply(c, &w, "in time");
        client_and_worker_leave(c, &w);
}

/* The worker's end of a new channel for files. */
static int give_channel(uint64_t request) {
        int fds[2];

        assert_int_equal(fd_socketpair(fds), 0);
        assert_int_equal(CONTROL_SEND(front.manager, FILE_CHANNEL, request, &fds[0], 1, .peer = 1), 0);
        fd_close(fds[0]);
        return fds[1];
}

static void expect_open_channel(uint64_t request) {
        struct control_record record;

        front_expect(CONTROL_KIND_FILE_CHANNEL_OPEN, &record);
        assert_int_equal(record.header.request, request);
        assert_int_equal(record.FILE_CHANNEL_OPEN.peer, 1);
}

static void worker_pass_file(struct worker *w, int channel) {
        int fd = memfd_create("file", MFD_CLOEXEC), file;
        char path[32];

        assert_int_equal(write(fd, "bytes", 5), 5);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        file = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(CONTROL_SEND(channel, FILE_PASS, 0, &file, 1, .correlation = w->message.frame.correlation), 0);
        fd_close(file);
        fd_close(fd);
}

static void worker_reply_passed(struct worker *w) {
        const struct http_reply_payload reply = { .status = 200, .is_file = true, .file_size = 5 };
        uint32_t size;
        uint8_t *data;

        assert_int_equal(http_reply_encode(&reply, &data, &size), 0);
        worker_reply_bytes(w, w->message.frame.correlation, data, size);
        free(data);
}

static void worker_reply_file(struct worker *w, int channel) {
        worker_pass_file(w, channel);
        worker_reply_passed(w);
}

/* The worker is told that its channel is there, and only then answers: also what may not be asked for twice. */
static void test_a_file_goes_by_an_open_channel(void **state) {
        struct worker w;
        int c = front_begin(&w, POST("/m")), channel, next;

        channel = give_channel(7);
        expect_open_channel(7);
        worker_reply_file(&w, channel);
        client_expect_answer(c, 200, "bytes");
        /* Another one takes its place: what was passed by the first has come, and what is too late for it is refused. */
        client_send(c, POST("/m/2"));
        worker_expect(&w, FRAME_REQUEST);
        worker_pass_file(&w, channel);
        next = give_channel(8);
        expect_open_channel(8);
        assert_int_equal(CONTROL_SEND(channel, FILE_PASS, 0, &next, 1, .correlation = 1), CONTROL_E_CLOSED);
        worker_reply_passed(&w);
        client_expect_answer(c, 200, "bytes");
        client_send(c, POST("/m/3"));
        worker_expect(&w, FRAME_REQUEST);
        worker_reply_file(&w, next);
        client_expect_answer(c, 200, "bytes");
        fd_close(channel);
        fd_close(next);
        client_and_worker_leave(c, &w);
}

static void test_a_file_that_is_not_there_never_was(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        worker_reply_passed(&w);
        client_expect_answer(c, 502, "BAD_REPLY");
        client_and_worker_leave(c, &w);
}

/* It is found when another channel takes its place, and nothing more comes on the edge. */
static void test_garbage_on_a_channel(void **state) {
        struct worker w;
        int c = front_begin(&w, POST("/m")), channel = give_channel(7), next;

        expect_open_channel(7);
        assert_int_equal(send(channel, "garbage", 7, MSG_NOSIGNAL), 7);
        next = give_channel(8);
        expect_open_channel(8);
        front_expect_violation(1, VIOLATION_FILE_RECORD);
        client_expect_answer(c, 502, "BAD_REPLY");
        worker_expect_closed(&w);
        fd_close(channel);
        fd_close(next);
        close(c);
}

/* Of an instance without an edge there is none, and nobody is told that there was. */
static void test_a_channel_without_an_edge(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m")), fds[2], channel;

        assert_int_equal(fd_socketpair(fds), 0);
        assert_int_equal(CONTROL_SEND(front.manager, FILE_CHANNEL, 3, &fds[0], 1, .peer = 2), 0);
        channel = give_channel(4);
        expect_open_channel(4);
        worker_reply_file(&w, channel);
        client_expect_answer(c, 200, "bytes");
        fd_close(fds[0]);
        fd_close(fds[1]);
        fd_close(channel);
        client_and_worker_leave(c, &w);
}

static void test_a_route_has_its_own_deadline(void **state) {
        const struct front_module m = { .name = "m",
                                        .instances = { { 1, ACTIVE } },
                                        .setting = { .path = "/m/quick", .timeout_ms = 50, .body_max = 1 } };
        struct worker w;
        int c = front_begin(&w, GET("/m/slow")), other = client_connect();

        front_publish(&m, 1);
        client_send(other, GET("/m/quick/1"));
        worker_expect(&w, FRAME_REQUEST);
        client_expect_answer(other, 504, "\"detail\":\"module m gave no answer within the timeout of its route (50 ms)");
        worker_expect(&w, FRAME_CANCEL);
        worker_die(&w);
        close(c);
        close(other);
}

static void test_a_draining_worker_gives_requests_back(void **state) {
        const struct front_module after = { .name = "m", .instances = { { 1, DRAINING }, { 2, ACTIVE } } };
        struct worker w, other;
        int c = front_begin(&w, GET("/m"));

        worker_error(&w, w.message.frame.correlation, ERROR_NOT_STARTED);
        front_publish(&after, 1);
        front_grant(2, &other);
        worker_expect(&other, FRAME_REQUEST);
        client_expect_reply(c, &other, "moved");
        /* Nothing of ours is left there: the edge is closed. */
        worker_expect_closed(&w);
        client_and_worker_leave(c, &other);
}

static void test_typed_errors_have_their_status(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        worker_error(&w, w.message.frame.correlation, ERROR_DENIED);
        client_expect_answer(c, 403, "DENIED");
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_error(&w, w.message.frame.correlation, 9999);
        client_expect_answer(c, 500, "INTERNAL");
        client_send(c, GET("/m"));
        worker_expect(&w, FRAME_REQUEST);
        worker_error(&w, w.message.frame.correlation, ERROR_OVERLOADED);
        client_expect_answer(c, 503, "OVERLOADED");
        client_and_worker_leave(c, &w);
}

static void test_replies_that_are_none(void **state) {
        static const struct {
                const char *bytes;
                uint32_t size;
        } examples[] = {
                { "", 0 },
                { "\xc1", 1 },
                { "\x94\x01\xcd\x00\x64\xdc\x00\x00\xc4\x00", 10 },                         /* status 100 */
                { "\x94\x01\xcd\x03\xe8\xdc\x00\x00\xc4\x00", 10 },                         /* 1000 */
                { "\x94\x01\xcd\x00\xc8\xdc\x00\x02\xa1\x61\xa3\x62\x0d\x0a\xc4\x00", 16 }, /* CR LF in a value */
                { "\x94\x01\xcd\x00\xc8\xdc\x00\x02\xa1\x20\xa1\x62\xc4\x00", 14 },         /* a name with a space */
        };
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                worker_reply_bytes(&w, w.message.frame.correlation, examples[i].bytes, examples[i].size);
                client_expect_answer(c, 502, "BAD_REPLY");
                client_send(c, GET("/m"));
                worker_expect(&w, FRAME_REQUEST);
        }
        /* The edge goes on. */
        client_expect_reply(c, &w, "good");
        client_and_worker_leave(c, &w);
}

static void test_an_edge_that_breaks_the_protocol_is_closed(void **state) {
        struct frame orphan = { .kind = FRAME_END };
        struct worker w;
        int c = front_begin(&w, GET("/m"));

        assert_int_equal(edge_send(w.edge, &orphan, NULL, 0, NULL), 0);
        edge_flush(w.edge);
        client_expect_answer(c, 502, "BAD_REPLY");
        front_expect_violation(1, VIOLATION_FRAGMENT);
        worker_expect_closed(&w);
        /* It is not asked again before something about it changes. */
        client_send(c, GET("/m"));
        front_publish_one(2);
        front_grant(2, &w);
        worker_expect(&w, FRAME_REQUEST);
        client_and_worker_leave(c, &w);
}

static void test_somebody_elses_request_cannot_be_answered(void **state) {
        const struct front_module modules[] = { { .name = "a", .instances = { { 1, ACTIVE } } },
                                                { .name = "b", .instances = { { 2, ACTIVE } } } };
        struct worker a, b;
        int c = client_connect(), d = client_connect();

        front_publish(modules, 2);
        client_send(c, GET("/a"));
        front_grant(1, &a);
        worker_expect(&a, FRAME_REQUEST);
        client_send(d, GET("/b"));
        front_grant(2, &b);
        worker_expect(&b, FRAME_REQUEST);
        worker_reply(&b, a.message.frame.correlation, 200, "stolen");
        front_expect_violation(2, VIOLATION_INVENTED);
        client_expect_answer(d, 502, "BAD_REPLY");
        worker_expect_closed(&b);
        client_expect_reply(c, &a, "honest");
        close(c);
        close(d);
        worker_die(&a);
}

static void test_no_more_in_flight_than_the_manifest_says(void **state) {
        const struct front_module m = { .name = "m", .in_flight_max = 1, .instances = { { 1, ACTIVE } } };
        struct worker w;
        int c = client_connect();

        front_publish(&m, 1);
        client_send(c, GET("/m/1") GET("/m/2"));
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_false(worker_has_message(&w));
        client_expect_reply(c, &w, "one");
        worker_expect(&w, FRAME_REQUEST);
        assert_http_text(w.request.path, "/m/2");
        client_expect_reply(c, &w, "two");
        client_and_worker_leave(c, &w);
}

/* What it has of ours may be streams that go on for long; others have filled it, and go. */
static void test_who_was_full_is_asked_again(void **state) {
        struct worker w;
        int c = front_begin(&w, GET("/m/1") GET("/m/2"));
        uint64_t first = w.message.frame.correlation;

        worker_expect(&w, FRAME_REQUEST);
        for (int i = 0; i < 3; i++) {
                assert_http_text(w.request.path, "/m/2");
                worker_error(&w, w.message.frame.correlation, ERROR_OVERLOADED);
                worker_expect(&w, FRAME_REQUEST);
        }
        worker_reply(&w, w.message.frame.correlation, 200, "two");
        worker_reply(&w, first, 200, "one");
        client_expect_answer(c, 200, "one");
        client_expect_answer(c, 200, "two");
        client_and_worker_leave(c, &w);
}

static void test_requests_spread_over_instances(void **state) {
        const struct front_module m = { .name = "m", .instances = { { 1, ACTIVE }, { 2, ACTIVE } } };
        struct worker a, b;
        int c = client_connect();

        front_publish(&m, 1);
        client_send(c, GET("/m/1"));
        front_grant(1, &a);
        front_grant(2, &b);
        front_expect_swept(2); /* it has both */
        if (!worker_has_message(&a))
                worker_expect(&a, FRAME_REQUEST);
        client_send(c, GET("/m/2"));
        worker_expect(&b, FRAME_REQUEST);
        assert_http_text(b.request.path, "/m/2");
        worker_reply(&b, b.message.frame.correlation, 200, "two");
        client_expect_reply(c, &a, "one");
        client_expect_answer(c, 200, "two");
        close(c);
        worker_die(&a);
        worker_die(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                FRONT_TEST(test_a_worker_dies_in_a_request),
                FRONT_TEST(test_what_a_dead_worker_had_not_begun_goes_elsewhere),
                FRONT_TEST(test_what_may_be_done_twice_is_not_done_three_times),
                FRONT_TEST(test_a_reply_just_before_the_death_counts),
                FRONT_TEST(test_a_deadline_passes),
                FRONT_TEST(test_a_file_goes_by_an_open_channel),
                FRONT_TEST(test_a_file_that_is_not_there_never_was),
                FRONT_TEST(test_a_channel_without_an_edge),
                FRONT_TEST(test_garbage_on_a_channel),
                FRONT_TEST(test_a_route_has_its_own_deadline),
                FRONT_TEST(test_a_draining_worker_gives_requests_back),
                FRONT_TEST(test_typed_errors_have_their_status),
                FRONT_TEST(test_replies_that_are_none),
                FRONT_TEST(test_an_edge_that_breaks_the_protocol_is_closed),
                FRONT_TEST(test_somebody_elses_request_cannot_be_answered),
                FRONT_TEST(test_no_more_in_flight_than_the_manifest_says),
                FRONT_TEST(test_who_was_full_is_asked_again),
                FRONT_TEST(test_requests_spread_over_instances),
        };

        return cmocka_run_group_tests_name("process-workers", tests, NULL, NULL);
}
