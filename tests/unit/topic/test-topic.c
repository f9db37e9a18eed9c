/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic whose sides are honest: order, wrap, what a reader that falls behind
 * is told, and who is woken when.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "ipc/shared.h"
#include "ipc/topic-layout.h"
#include "ipc/topic.h"

#define RING 4096u
#define PAYLOAD_MAX (RING / 4 - FRAME_SIZE)

struct world {
        struct topic_writer *writer;
        struct ears *ears;
        struct topic_listener *listener;
        struct topic_reader *reader;
};

static void join(struct world *w, struct topic_listener **ret_listener, struct topic_reader **ret_reader) {
        assert_int_equal(topic_listener_new(ret_listener, fd_dup(ears_fd(w->ears)), 3), 0);
        assert_int_equal(topic_reader_new(ret_reader, fd_dup(topic_writer_fd(w->writer)), fd_dup(topic_listener_fd(*ret_listener)),
                                          topic_writer_mark(w->writer)),
                         0);
        topic_listener_sent(*ret_listener);
}

static int setup(void **state) {
        static struct world w;

        assert_int_equal(topic_writer_new(&w.writer, RING), 0);
        assert_int_equal(ears_new(&w.ears), 0);
        join(&w, &w.listener, &w.reader);
        *state = &w;
        return 0;
}

static int teardown(void **state) {
        struct world *w = *state;

        w->reader = topic_reader_free(w->reader);
        w->listener = topic_listener_free(w->listener);
        w->ears = ears_free(w->ears);
        w->writer = topic_writer_free(w->writer);
        return 0;
}

static uint8_t byte_of(uint64_t number, uint32_t i) {
        return (uint8_t)(number * 31 + i * 7 + 1);
}

static void publish(struct world *w, uint64_t number, uint32_t size) {
        uint8_t payload[PAYLOAD_MAX];

        assert_int_equal(topic_writer_mark(w->writer).number, number);
        for (uint32_t i = 0; i < size; i++)
                payload[i] = byte_of(number, i);
        assert_int_equal(topic_write(w->writer, payload, size), 0);
}

static void check(const struct topic_message *m, uint64_t number, uint32_t size) {
        assert_int_equal(m->size, size);
        for (uint32_t i = 0; i < size; i++)
                assert_int_equal(m->payload[i], byte_of(number, i));
}

static void expect(struct topic_reader *reader, uint64_t number, uint32_t size, uint64_t lost) {
        struct topic_message m;
        uint64_t got = 77;

        assert_int_equal(topic_read(reader, &m, &got), 0);
        assert_int_equal(got, lost);
        check(&m, number, size);
}

static void expect_empty(struct topic_reader *reader) {
        struct topic_message m;
        uint64_t lost;

        assert_int_equal(topic_read(reader, &m, &lost), TOPIC_E_EMPTY);
        assert_true(topic_reader_is_empty(reader));
        assert_int_equal(topic_reader_violation(reader), VIOLATION_NONE);
}

/* Every size in every place, over the end of the ring many times. */
static void test_every_size(void **state) {
        struct world *w = *state;
        uint64_t number = 0;

        for (uint32_t size = 0; size <= PAYLOAD_MAX; size++) {
                publish(w, number, size);
                expect(w->reader, number++, size, 0);
                expect_empty(w->reader);
        }
}

static void test_limits(void **state) {
        struct world *w = *state;
        uint8_t payload[PAYLOAD_MAX + 1] = { 0 };
        struct topic_writer *writer;

        assert_int_equal(topic_payload_max(RING), PAYLOAD_MAX);
        assert_int_equal(topic_write(w->writer, payload, sizeof(payload)), TOPIC_E_TOO_LARGE);
        assert_int_equal(topic_writer_mark(w->writer).number, 0);
        expect_empty(w->reader);
        assert_int_equal(topic_writer_new(&writer, RING - 16), -EINVAL);
        assert_int_equal(topic_writer_new(&writer, 3 * RING), -EINVAL);
        assert_int_equal(topic_writer_new(&writer, RING / 2), -EINVAL);
        assert_int_equal(topic_writer_new(&writer, 2 * TOPIC_RING_MAX), -EINVAL);
}

/* Whatever the sizes and the backlog are: what is read and what is lost is all, in order, and the newest is never lost. */
static void test_every_backlog(void **state) {
        struct world *w = *state;
        uint64_t number = 0, read = 0, lost_of_all = 0;

        for (uint32_t backlog = 1; backlog < 150; backlog++) {
                struct topic_message m;
                uint64_t lost;

                for (uint32_t n = 0; n < backlog; n++, number++)
                        publish(w, number, (uint32_t)(number * number % (backlog % 7 ? 100 : PAYLOAD_MAX + 1)));
                while (topic_read(w->reader, &m, &lost) == 0) {
                        read += lost;
                        lost_of_all += lost;
                        check(&m, read, m.size);
                        read++;
                }
                assert_int_equal(read, number);
                assert_true(topic_reader_is_empty(w->reader));
        }
        assert_true(lost_of_all > 0 && lost_of_all < number);
}

/* It goes on half a ring behind the writer, not at the very end and not at the newest. */
static void test_where_it_goes_on(void **state) {
        struct world *w = *state;
        struct topic_message m;
        uint64_t lost;

        for (uint64_t n = 0; n < 1000; n++)
                publish(w, n, 64); /* of 128 bytes: a ring has 32 */
        assert_int_equal(topic_read(w->reader, &m, &lost), 0);
        assert_int_equal(lost, 1000 - 16);
        check(&m, 1000 - 16, 64);
        for (uint64_t n = 1000 - 15; n < 1000; n++)
                expect(w->reader, n, 64, 0);
        expect_empty(w->reader);
}

/* Up to a whole ring, nothing is lost; one byte more, and something is. */
static void test_a_full_ring(void **state) {
        struct world *w = *state;

        for (uint64_t n = 0; n < 32; n++)
                publish(w, n, 64);
        for (uint64_t n = 0; n < 32; n++)
                expect(w->reader, n, 64, 0);
        for (uint64_t n = 32; n < 32 + 33; n++)
                publish(w, n, 64);
        expect(w->reader, 32 + 33 - 16, 64, 17);
}

static void test_each_reader_for_itself(void **state) {
        struct world *w = *state;
        struct topic_listener *listener;
        struct topic_reader *late;

        for (uint64_t n = 0; n < 100; n++) {
                publish(w, n, 100);
                expect(w->reader, n, 100, 0);
        }
        join(w, &listener, &late);
        expect_empty(late);
        for (uint64_t n = 100; n < 200; n++) {
                publish(w, n, 100);
                expect(w->reader, n, 100, 0);
        }
        expect(late, 189, 100, 89); /* records of 176 bytes: eleven and a pad fit into half a ring */
        topic_reader_free(late);
        topic_listener_free(listener);
}

/* Bells -------------------------------------------------------------------------------------------------------------- */

static bool is_rung(const struct topic_reader *reader) {
        struct pollfd p = { .fd = topic_reader_wait_fd(reader), .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

static void ring(struct world *w) {
        shared_fence();
        assert_int_equal(topic_listener_ring(w->listener), 0);
}

static void test_one_bell_for_each_sleep(void **state) {
        struct world *w = *state;

        publish(w, 0, 1);
        ring(w);
        assert_false(is_rung(w->reader)); /* nobody sleeps */
        ears_arm(w->ears, 4);
        ring(w);
        assert_false(is_rung(w->reader)); /* another subscription does */
        ears_arm(w->ears, 3);
        assert_false(topic_reader_is_empty(w->reader));
        expect(w->reader, 0, 1, 0);
        ears_arm(w->ears, 3);
        assert_true(topic_reader_is_empty(w->reader));
        publish(w, 1, 1);
        ring(w);
        assert_true(is_rung(w->reader));
        topic_reader_on_bell(w->reader);
        assert_false(is_rung(w->reader));
        publish(w, 2, 1);
        ring(w);
        assert_false(is_rung(w->reader)); /* it has been told */
        ears_disarm(w->ears, 3);
        ears_disarm(w->ears, 3);
        ring(w);
        assert_false(is_rung(w->reader));
        ears_arm(w->ears, 3);
        ring(w);
        assert_true(is_rung(w->reader));
        topic_reader_on_bell(w->reader);
        expect(w->reader, 1, 1, 0);
        expect(w->reader, 2, 1, 0);
}

static void test_who_never_listens_fills_a_pipe(void **state) {
        struct world *w = *state;

        for (int i = 0; i < 200000; i++) {
                ears_arm(w->ears, 3);
                ring(w);
                ears_disarm(w->ears, 3);
        }
        topic_reader_on_bell(w->reader);
        assert_false(is_rung(w->reader));
}

static void test_a_reader_that_goes(void **state) {
        struct world *w = *state;

        assert_false(topic_listener_is_gone(w->listener));
        w->reader = topic_reader_free(w->reader);
        assert_true(topic_listener_is_gone(w->listener));
        ring(w); /* not armed: nothing is written, so nothing is noticed */
        ears_arm(w->ears, 3);
        assert_int_equal(topic_listener_ring(w->listener), -EPIPE);
}

static void test_a_writer_that_goes(void **state) {
        struct world *w = *state;

        publish(w, 0, 5);
        publish(w, 1, 5);
        expect(w->reader, 0, 5, 0);
        w->listener = topic_listener_free(w->listener);
        assert_true(is_rung(w->reader));
        topic_reader_on_bell(w->reader);
        assert_false(topic_reader_is_empty(w->reader));
        assert_false(topic_reader_ended(w->reader));
        expect(w->reader, 1, 5, 0);
        expect_empty(w->reader);
        assert_true(topic_reader_ended(w->reader));
}

/* Who was overtaken before that, and looks afterwards: the end of it is still there, and what was lost is known. */
static void test_a_writer_that_overtakes_and_goes(void **state) {
        struct world *w = *state;

        for (uint64_t n = 0; n < 1000; n++)
                publish(w, n, 64); /* of 128 bytes: a ring has 32 */
        w->listener = topic_listener_free(w->listener);
        topic_reader_on_bell(w->reader);
        expect(w->reader, 1000 - 16, 64, 1000 - 16);
        for (uint64_t n = 1000 - 15; n < 1000; n++)
                expect(w->reader, n, 64, 0);
        expect_empty(w->reader);
        assert_true(topic_reader_ended(w->reader));
}

/* It has said that it goes, and overwrites what it had said. */
static void test_a_writer_that_overtakes_after_its_end(void **state) {
        struct world *w = *state;

        for (uint64_t n = 0; n < 20; n++)
                publish(w, n, 64);
        w->listener = topic_listener_free(w->listener);
        topic_reader_on_bell(w->reader);
        expect(w->reader, 0, 64, 0);
        for (uint64_t n = 20; n < 1000; n++)
                publish(w, n, 64);
        expect_empty(w->reader);
        assert_true(topic_reader_ended(w->reader));
}

/* It has only said that it goes. */
static void test_a_writer_that_comes_back(void **state) {
        struct world *w = *state;
        struct topic_message m;
        uint64_t lost;

        publish(w, 0, 5);
        w->listener = topic_listener_free(w->listener);
        topic_reader_on_bell(w->reader);
        expect(w->reader, 0, 5, 0);
        expect_empty(w->reader);
        publish(w, 1, 5);
        expect_empty(w->reader);
        assert_int_equal(topic_read(w->reader, &m, &lost), TOPIC_E_EMPTY);
        assert_true(topic_reader_ended(w->reader));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_every_size),
                T(test_limits),
                T(test_every_backlog),
                T(test_where_it_goes_on),
                T(test_a_full_ring),
                T(test_each_reader_for_itself),
                T(test_one_bell_for_each_sleep),
                T(test_who_never_listens_fills_a_pipe),
                T(test_a_reader_that_goes),
                T(test_a_writer_that_goes),
                T(test_a_writer_that_overtakes_and_goes),
                T(test_a_writer_that_overtakes_after_its_end),
                T(test_a_writer_that_comes_back),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
