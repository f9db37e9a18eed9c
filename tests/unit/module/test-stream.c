/* SPDX-License-Identifier: Apache-2.0
 *
 * The callee's end of a stream against a caller played by the test.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"
#include "tests/unit/edge/fixture.h"

#define WINDOW 65536u
#define CORRELATION 77u

static struct worker_settings settings = { .name = "test" };
static struct connection connection;
static struct task task;
static struct edge *caller;
static struct socle_stream *stream;
static struct {
        enum { READ, WRITE, ANSWER, EVENT, END } what;
        uint8_t *data;
        size_t size, got;
        int result;
        bool done;
} job;

static int setup(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 64 << 10, .max_partial = 256 << 10 };
        int page = page_new_fd();

        the_worker = (struct worker){ .start = { .settings = &settings } };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        edges_join(&connection.edge, &caller, &limits);
        task = (struct task){ .connection = &connection, .frame = { .method = 1, .correlation = CORRELATION } };
        calls_init();
        stream = stream_new(&task);
        assert_non_null(stream);
        return 0;
}

static int teardown(void **state) {
        stream = stream_free(stream);
        connection.edge = edge_free(connection.edge);
        caller = edge_free(caller);
        arena_deinit(&task.arena);
        munmap(the_worker.start.page, PAGE_SIZE_TOTAL);
        return 0;
}

/* The handler --------------------------------------------------------------------------------------------------------- */

static void job_main(void *unused) {
        if (job.what == READ)
                job.result = socle_stream_read(stream, job.data, job.size, &job.got);
        else if (job.what == ANSWER)
                job.result = stream_answer(stream, job.data, (uint32_t)job.size);
        else if (job.what == EVENT)
                job.result = socle_stream_event(stream, "7", "tick", (const char *)job.data);
        else if (job.what == END)
                job.result = socle_stream_end(stream);
        else
                job.result = socle_stream_write(stream, job.data, job.size);
        job.done = true;
}

static void job_begin(int what, void *data, size_t size) {
        struct coroutine *co = coroutine_new(job_main, NULL);

        assert_non_null(co);
        memset(&job, 0, sizeof(job));
        job.what = what;
        job.data = data;
        job.size = size;
        coroutine_set_userdata(co, &task);
        coroutine_resume(co);
}

/* The caller ---------------------------------------------------------------------------------------------------------- */

static int give(enum frame_kind kind, const void *payload, uint32_t size) {
        struct edge_message m = { .frame = { .kind = (uint8_t)kind, .flags = FRAME_STREAM, .correlation = CORRELATION },
                                  .payload = payload,
                                  .size = size };
        int r;

        assert_true(stream_is_part(&m.frame));
        r = stream_on_message(stream, &m);
        streams_turn();
        return r;
}

static int give_credit(uint64_t total) {
        return give(FRAME_CREDIT, &total, sizeof(total));
}

/* What the callee has sent: the kind, 0 for nothing. */
static int next(struct edge_message *m) {
        edge_flush(connection.edge);
        edge_on_bell(caller);
        if (edge_receive(caller, m)) {
                edge_on_bell(connection.edge); /* there may be room now */
                edge_flush(connection.edge);
                if (edge_receive(caller, m))
                        return 0;
        }
        assert_int_equal(m->frame.correlation, CORRELATION);
        assert_true(m->frame.flags & FRAME_STREAM);
        return m->frame.kind;
}

static uint64_t next_credit(void) {
        struct edge_message m;
        uint64_t total;

        assert_int_equal(next(&m), FRAME_CREDIT);
        assert_int_equal(m.size, sizeof(total));
        memcpy(&total, m.payload, sizeof(total));
        return total;
}

/* Tests --------------------------------------------------------------------------------------------------------------- */

static void test_nothing_is_allowed_before_the_first_read(void **state) {
        struct edge_message m;
        uint8_t data[100];

        assert_int_equal(next(&m), 0);
        assert_int_equal(give(FRAME_DATA, "x", 1), EDGE_E_POISONED);
        job_begin(READ, data, sizeof(data));
        assert_false(job.done);
        assert_int_equal(next_credit(), WINDOW);
        assert_int_equal(give(FRAME_DATA, "some", 4), 0);
        assert_true(job.done);
        assert_int_equal(job.result, 0);
        assert_int_equal(job.got, 4);
        assert_memory_equal(data, "some", 4);
}

static void test_credit_comes_back_by_halves(void **state) {
        static uint8_t data[WINDOW];
        struct edge_message m;

        job_begin(READ, data, 1);
        assert_int_equal(next_credit(), WINDOW);
        for (uint32_t i = 0; i < WINDOW; i += 512)
                assert_int_equal(give(FRAME_DATA, data, 512), 0);
        assert_int_equal(give(FRAME_DATA, data, 1), EDGE_E_POISONED); /* one more than it may */
        job_begin(READ, data, WINDOW / 2 - 2);
        assert_int_equal(next(&m), 0);
        job_begin(READ, data, 1);
        assert_int_equal(next_credit(), WINDOW + WINDOW / 2);
        job_begin(READ, data, WINDOW);
        assert_int_equal(job.got, WINDOW / 2);
        assert_int_equal(next_credit(), 2 * WINDOW);
}

static void test_a_buffer_that_goes_round_keeps_order(void **state) {
        static uint8_t in[1000], out[1000];
        uint8_t next_in = 0, next_out = 0;

        job_begin(READ, out, 1); /* for credit; its byte comes first */
        for (int i = 0; i < 1000; i++) {
                for (size_t n = 0; n < sizeof(in); n++)
                        in[n] = next_in++;
                assert_int_equal(give(FRAME_DATA, in, sizeof(in)), 0);
                if (i == 0)
                        assert_int_equal(next_out++, out[0]);
                job_begin(READ, out, i == 0 ? sizeof(out) - 1 : sizeof(out));
                assert_int_equal(job.got, i == 0 ? sizeof(out) - 1 : sizeof(out));
                for (size_t n = 0; n < job.got; n++)
                        assert_int_equal(out[n], next_out++);
        }
}

static void test_the_end(void **state) {
        uint8_t data[10];

        job_begin(READ, data, sizeof(data));
        assert_int_equal(give(FRAME_END, NULL, 0), 0);
        assert_true(job.done);
        assert_int_equal(job.result, 0);
        assert_int_equal(job.got, 0);
        assert_int_equal(give(FRAME_END, NULL, 0), EDGE_E_POISONED);
        assert_int_equal(give(FRAME_DATA, data, 1), EDGE_E_POISONED);
}

static void test_what_a_peer_may_not_send(void **state) {
        uint8_t data[10] = { 0 };

        job_begin(READ, data, sizeof(data));
        assert_int_equal(give(FRAME_DATA, NULL, 0), EDGE_E_POISONED);
        assert_int_equal(give(FRAME_END, data, 1), EDGE_E_POISONED);
        assert_int_equal(give(FRAME_CREDIT, data, 7), EDGE_E_POISONED);
        assert_int_equal(give(FRAME_CREDIT, NULL, 0), EDGE_E_POISONED);
        assert_int_equal(give_credit(WINDOW + 5), 0);
        assert_int_equal(give_credit(WINDOW + 4), EDGE_E_POISONED);
        assert_int_equal(give_credit(UINT64_MAX), 0);
        assert_false(job.done);
        task.cancelled = true;
        stream_wake(stream);
        streams_turn();
        assert_int_equal(job.result, ERROR_CANCELLED);
}

/* Takes what comes until nothing does. */
static uint32_t drain(void) {
        struct edge_message m;
        uint32_t n = 0;

        while (next(&m)) {
                assert_int_equal(m.frame.kind, FRAME_DATA);
                for (uint32_t i = 0; i < m.size; i++)
                        assert_int_equal(m.payload[i], 'w');
                n += m.size;
                streams_turn();
        }
        return n;
}

static void test_a_writer_stops_at_its_credit(void **state) {
        static uint8_t data[3 * WINDOW];

        memset(data, 'w', sizeof(data));
        job_begin(WRITE, data, sizeof(data));
        assert_false(job.done);
        assert_int_equal(drain(), WINDOW);
        assert_int_equal(give_credit(WINDOW + 3), 0);
        assert_int_equal(drain(), 3);
        assert_int_equal(give_credit(3 * WINDOW), 0);
        assert_int_equal(drain(), 2 * WINDOW - 3);
        assert_true(job.done);
        assert_int_equal(job.result, 0);
}

static void test_a_writer_that_is_cancelled_takes_his_bytes_along(void **state) {
        static uint8_t data[WINDOW];

        memset(data, 'w', sizeof(data));
        job_begin(WRITE, data, sizeof(data)); /* more than the ring has room for */
        assert_false(job.done);
        task.cancelled = true;
        stream_wake(stream);
        streams_turn();
        assert_int_equal(job.result, ERROR_CANCELLED);
        memset(data, 'x', sizeof(data));
        assert_true(drain() < RING);
        assert_true(edge_is_idle(connection.edge));
}

static void test_an_edge_that_ends_under_a_writer(void **state) {
        static uint8_t data[WINDOW];

        job_begin(WRITE, data, sizeof(data));
        task.cancelled = true; /* as connection_close() does */
        stream_wake(stream);
        connection.edge = edge_free(connection.edge);
        streams_turn();
        assert_int_equal(job.result, ERROR_CANCELLED);
}

static void test_who_has_ended_writes_no_more(void **state) {
        struct edge_message m;

        job_begin(WRITE, (uint8_t *)"w", 1);
        assert_true(job.done);
        assert_int_equal(drain(), 1);
        assert_int_equal(socle_stream_end(stream), -EDEADLK); /* no coroutine */
        stream->ended = true;
        job_begin(WRITE, (uint8_t *)"w", 1);
        assert_int_equal(job.result, -EPIPE);
        assert_int_equal(next(&m), 0);
}

/* A caller that neither sends nor goes away keeps nobody for ever. */
static void test_a_reader_waits_until_the_deadline(void **state) {
        uint8_t data[10];

        stream = stream_free(stream);
        task.frame.deadline = clock_now_ns() + NS_PER_MS;
        stream = stream_new(&task);
        job_begin(READ, data, sizeof(data));
        assert_false(job.done);
        while (!job.done) {
                assert_true(wait_timeout_ms() >= 0);
                wait_turn();
                streams_turn();
        }
        assert_int_equal(job.result, ERROR_TIMEOUT);
        job_begin(WRITE, data, sizeof(data));
        assert_int_equal(job.result, ERROR_TIMEOUT);
        stream = stream_free(stream);
        task.frame.deadline = UINT64_MAX;
        stream = stream_new(&task);
        assert_int_equal(wait_timeout_ms(), -1);
}

/* Over HTTP ----------------------------------------------------------------------------------------------------------- */

static void over_http(uint64_t deadline) {
        stream = stream_free(stream);
        task.frame.method = FRAME_METHOD_HTTP;
        task.frame.deadline = deadline;
        stream = stream_new(&task);
        assert_non_null(stream);
}

static int result_of(int what, const char *text) {
        job_begin(what, (uint8_t *)(uintptr_t)text, text ? strlen(text) : 0);
        assert_true(job.done);
        return job.result;
}

static void test_an_answer_begins_with_its_head(void **state) {
        struct edge_message m;

        over_http(clock_now_ns() + 3600 * NS_PER_S);
        assert_int_equal(result_of(WRITE, "early"), -EPERM);
        assert_int_equal(result_of(END, NULL), -EPERM);
        assert_int_equal(next(&m), 0);
        assert_int_equal(result_of(ANSWER, strdup("head")), 0);
        assert_int_equal(next(&m), FRAME_REPLY);
        assert_memory_equal(m.payload, "head", 4);
        assert_int_equal(task.frame.deadline, 0);
        assert_int_equal(wait_timeout_ms(), -1); /* the time is the gateway's */
        assert_int_equal(result_of(WRITE, "w"), 0);
        assert_int_equal(drain(), 1);
        assert_int_equal(result_of(END, NULL), 0);
        assert_int_equal(next(&m), FRAME_END);
        assert_int_equal(result_of(WRITE, "late"), -EPIPE);
        assert_int_equal(result_of(END, NULL), 0);
        assert_int_equal(next(&m), 0); /* one end is enough, and after it there is no error */
        serve_error(&task, ERROR_INTERNAL, NULL);
        assert_int_equal(next(&m), 0);
}

static void test_a_head_waits_for_room(void **state) {
        size_t size = 5 * RING;
        struct edge_message m;
        int kind;

        over_http(0);
        job_begin(ANSWER, calloc(1, size), size);
        assert_false(job.done);
        while (!(kind = next(&m)))
                ; /* it comes in pieces of a ring */
        assert_int_equal(kind, FRAME_REPLY);
        assert_int_equal(m.size, size);
        streams_turn();
        assert_true(job.done);
        assert_int_equal(job.result, 0);
}

static void test_a_body_that_came_whole(void **state) {
        uint8_t data[4];

        stream = stream_free(stream);
        task.frame.method = FRAME_METHOD_HTTP;
        stream = stream_new_whole(&task, "body!", 5);
        assert_int_equal(give(FRAME_END, NULL, 0), EDGE_E_POISONED);
        assert_int_equal(give(FRAME_DATA, "x", 1), EDGE_E_POISONED);
        for (size_t want = 4; want != 0; want = want == 4 ? 1 : 0) {
                job_begin(READ, data, sizeof(data));
                assert_true(job.done && !job.result);
                assert_int_equal(job.got, want);
        }
        job_begin(READ, data, sizeof(data));
        assert_true(job.done && !job.result);
        assert_int_equal(job.got, 0);
}

static void expect_event(const char *data, const char *text) {
        struct edge_message m;

        assert_int_equal(result_of(EVENT, data), 0);
        assert_int_equal(next(&m), FRAME_DATA);
        assert_int_equal(m.size, strlen(text));
        assert_memory_equal(m.payload, text, m.size);
}

static void test_events(void **state) {
        expect_event("one", "id: 7\nevent: tick\ndata: one\n\n");
        expect_event("", "id: 7\nevent: tick\ndata: \n\n");
        expect_event("a\nb\r\n\rc", "id: 7\nevent: tick\ndata: a\ndata: b\ndata: \ndata: c\n\n");
        assert_int_equal(socle_stream_event(stream, "a\nb", NULL, NULL), -EINVAL);
        assert_int_equal(socle_stream_event(stream, NULL, "a\rb", NULL), -EINVAL);
}

static void busy_main(void *unused) {
        uint8_t data[10];
        size_t n;

        assert_int_equal(socle_stream_read(stream, data, sizeof(data), &n), -EBUSY);
        assert_int_equal(socle_stream_write(stream, data, sizeof(data)), -EBUSY);
}

static void test_one_at_a_time_waits_in_it(void **state) {
        uint8_t data[10];

        job_begin(READ, data, sizeof(data));
        coroutine_resume(coroutine_new(busy_main, NULL));
        assert_int_equal(give(FRAME_DATA, "some", 4), 0);
        assert_true(job.done && job.got == 4);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_nothing_is_allowed_before_the_first_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_credit_comes_back_by_halves, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_buffer_that_goes_round_keeps_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_a_peer_may_not_send, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_writer_stops_at_its_credit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_writer_that_is_cancelled_takes_his_bytes_along, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_edge_that_ends_under_a_writer, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_has_ended_writes_no_more, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_reader_waits_until_the_deadline, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_answer_begins_with_its_head, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_head_waits_for_room, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_body_that_came_whole, setup, teardown),
                cmocka_unit_test_setup_teardown(test_events, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_at_a_time_waits_in_it, setup, teardown),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
