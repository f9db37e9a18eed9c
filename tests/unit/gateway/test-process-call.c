/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gateway process between stand-ins (front.h): calls that it speaks for
 * the manager.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "tests/unit/gateway/front.h"

static void publish(uint64_t instance) {
        const struct front_module m = { .name = "m", .service_method = "m.do", .instances = { { instance, ACTIVE } } };

        front_publish(&m, 1);
}

static void ask_in(uint64_t id, const char *method, uint64_t ms, int args) {
        struct control_call call = { .deadline_ns = clock_now_ns() + ms * NS_PER_MS };

        strcpy(call.method, method);
        assert_int_equal(control_send(front.manager, CONTROL_KIND_CALL, id, &call, sizeof(call), &args, args >= 0), 0);
        fd_close(args);
}

static void ask(uint64_t id, const char *method) {
        ask_in(id, method, 20000, memfd_new_const("args", "\x81\xa1k\x07", 4));
}

/* The next result; a failure says `text`. */
static void expect_result(uint64_t id, int error, uint64_t instance, const char *text) {
        struct control_record record;

        front_expect(CONTROL_KIND_CALL_RESULT, &record);
        assert_int_equal(record.header.request, id);
        assert_int_equal(record.CALL_RESULT.error, error);
        assert_int_equal(record.CALL_RESULT.instance, instance);
        assert_non_null(strstr(record.CALL_RESULT.text, text));
        assert_int_equal(record.n_fds, 0);
        control_record_deinit(&record);
}

static void test_a_call_and_its_result(void **state) {
        struct control_record record;
        struct worker w;
        char data[8];
        uint64_t size;

        publish(1);
        ask(41, "m.do");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        assert_int_equal(w.message.frame.method, 1);
        assert_true(w.message.frame.deadline > clock_now_ns());
        assert_int_equal(w.message.size, 4);
        assert_memory_equal(w.payload, "\x81\xa1k\x07", 4);
        worker_reply_bytes(&w, w.message.frame.correlation, "\xa2ok", 3);
        front_expect(CONTROL_KIND_CALL_RESULT, &record);
        assert_int_equal(record.header.request, 41);
        assert_int_equal(record.CALL_RESULT.error, 0);
        assert_int_equal(record.CALL_RESULT.instance, 1);
        assert_int_equal(record.n_fds, 1);
        assert_int_equal(memfd_check(record.fds[0], MEMFD_SEALS_CONST, 1, CONTROL_CALL_SIZE, &size), 0);
        assert_int_equal(size, 3);
        assert_int_equal(fd_pread_all(record.fds[0], data, 3, 0), 0);
        assert_memory_equal(data, "\xa2ok", 3);
        control_record_deinit(&record);
        /* nil both ways */
        ask_in(42, "m.do", 20000, -1);
        worker_expect(&w, FRAME_REQUEST);
        assert_int_equal(w.message.size, 0);
        worker_reply_bytes(&w, w.message.frame.correlation, NULL, 0);
        expect_result(42, 0, 1, "");
        worker_die(&w);
}

static void test_what_is_known_to_fail_fails_at_once(void **state) {
        publish(1);
        ask(1, "nobody.home");
        expect_result(1, ERROR_NO_SERVICE, 0, "no module provides");
        ask(2, "m.other");
        expect_result(2, ERROR_NO_METHOD, 0, "no such method");
        ask_in(3, "m.do", 0, -1);
        expect_result(3, ERROR_TIMEOUT, 0, "deadline");
        ask_in(4, "m.do", 20000, memfd_new("unsealed", 4));
        expect_result(4, ERROR_BAD_REQUEST, 0, "");
}

static void test_errors_come_with_the_modules_words(void **state) {
        struct worker w;

        publish(1);
        ask(1, "m.do");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_error(&w, w.message.frame.correlation, ERROR_NOT_FOUND);
        expect_result(1, ERROR_NOT_FOUND, 1, "no such thing");
        ask(2, "m.do");
        worker_expect(&w, FRAME_REQUEST);
        worker_begin(&w);
        worker_die(&w);
        expect_result(2, ERROR_PEER_DIED, 1, "died");
}

static void test_what_was_not_begun_is_sent_again(void **state) {
        struct worker w, v;

        publish(1);
        ask(1, "m.do");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_error(&w, w.message.frame.correlation, ERROR_NOT_STARTED);
        publish(2);
        front_grant(2, &v);
        worker_expect(&v, FRAME_REQUEST);
        worker_reply_bytes(&v, v.message.frame.correlation, NULL, 0);
        expect_result(1, 0, 2, "");
        worker_die(&w);
        worker_die(&v);
}

static void test_its_deadline_ends_it(void **state) {
        struct control_record record;
        struct worker w;
        uint64_t id = 1;

        publish(1);
        ask(id, "m.do");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        worker_reply_bytes(&w, w.message.frame.correlation, NULL, 0);
        expect_result(id, 0, 1, "");
        /* The deadline is the asker's: with less time than the way to the worker takes nothing comes there. */
        for (uint64_t ms = 50;; ms *= 2) {
                ask_in(++id, "m.do", ms, -1);
                do
                        assert_int_equal(control_receive_wait(front.manager, CONTROL_GATEWAY, CONTROL_MANAGER, 20000, &record), 0);
                while (record.header.kind == CONTROL_KIND_WATCH);
                if (record.header.kind == CONTROL_KIND_TIMED_OUT)
                        break;
                assert_int_equal(record.CALL_RESULT.error, ERROR_TIMEOUT);
                assert_true(ms < 20000);
        }
        assert_int_equal(record.TIMED_OUT.instance, 1);
        expect_result(id, ERROR_TIMEOUT, 1, "deadline");
        worker_expect(&w, FRAME_REQUEST);
        worker_expect(&w, FRAME_CANCEL);
        worker_die(&w);
}

static void test_a_cancelled_call_is_cancelled_at_the_worker(void **state) {
        struct worker w;

        publish(1);
        ask(1, "m.do");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        CONTROL_SEND(front.manager, CALL_CANCEL, 1, NULL, 0, .reserved = 0);
        worker_expect(&w, FRAME_CANCEL);
        /* Its late answer finds nobody; the next call is answered. */
        worker_reply_bytes(&w, w.message.frame.correlation, NULL, 0);
        ask(2, "m.do");
        worker_expect(&w, FRAME_REQUEST);
        worker_reply_bytes(&w, w.message.frame.correlation, NULL, 0);
        expect_result(2, 0, 1, "");
        worker_die(&w);
}

/* The next manager does not know what the former one asked for. */
static void test_a_new_manager_hears_nothing_of_the_formers_calls(void **state) {
        struct control_record record;
        struct worker w;

        publish(1);
        ask(1, "m.do");
        front_grant(1, &w);
        worker_expect(&w, FRAME_REQUEST);
        front_new_manager();
        publish(1);
        front_expect(CONTROL_KIND_PEER_PAGE, &record);
        control_record_deinit(&record);
        worker_expect(&w, FRAME_CANCEL);
        ask(2, "m.do");
        worker_expect(&w, FRAME_REQUEST);
        worker_reply_bytes(&w, w.message.frame.correlation, NULL, 0);
        expect_result(2, 0, 1, "");
        worker_die(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                FRONT_TEST(test_a_call_and_its_result),
                FRONT_TEST(test_what_is_known_to_fail_fails_at_once),
                FRONT_TEST(test_errors_come_with_the_modules_words),
                FRONT_TEST(test_what_was_not_begun_is_sent_again),
                FRONT_TEST(test_its_deadline_ends_it),
                FRONT_TEST(test_a_cancelled_call_is_cancelled_at_the_worker),
                FRONT_TEST(test_a_new_manager_hears_nothing_of_the_formers_calls),
        };

        return cmocka_run_group_tests_name("process-call", tests, NULL, NULL);
}
