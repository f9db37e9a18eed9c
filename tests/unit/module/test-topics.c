/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's topics without a process: the test is the manager at the other end
 * of the link, the subscribers of what the worker publishes, and the publishers
 * of what it subscribes to. One life for all tests, which go through it in order.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "ipc/topic-layout.h"
#include "ipc/topic.h"
#include "libmodule/topics.h"
#include "libmodule/worker-internal.h"

#define RING 4096u

static const char *const publishes[] = { "p.a", "p.b" }, *const subscribes[] = { "s.a", "s.slow", "s.unused" };
static struct worker_settings settings = {
        .name = "test", .in_flight = 8, .publish = publishes, .n_publish = 2, .subscribe = subscribes, .n_subscribe = 3, .topic_ring = RING
};
static int manager;
static int ears; /* of the worker, as the manager got them */

/* The module ---------------------------------------------------------------------------------------------------------- */

static long long heard[1000];
static unsigned n_heard, n_slow_begun, n_slow_ended;

static void on_message(const struct socle_value *args, void *userdata) {
        assert_ptr_equal(userdata, heard);
        heard[n_heard] = -1;
        assert_int_equal(socle_unpack(args, "n") == 0 ? 0 : socle_unpack(args, "I", &heard[n_heard]), 0);
        n_heard++;
}

static void on_slow(const struct socle_value *args, void *userdata) {
        const char *text;

        n_slow_begun++;
        assert_int_equal(socle_unpack(args, "s", &text), 0);
        assert_int_equal(socle_sleep(3600000), 0); /* until the test lets it go on */
        assert_string_equal(text, "slow");         /* as long as the handler runs */
        n_slow_ended++;
}

static bool turn(int timeout_ms) {
        struct epoll_event events[16];
        int n = epoll_wait(the_worker.epoll, events, N_ELEMENTS(events), timeout_ms);

        for (int i = 0; i < n; i++) {
                struct bell *bell = events[i].data.ptr;

                bell->on_ring(bell, events[i].events & EPOLLHUP);
        }
        wait_turn();
        return subscribe_turn();
}

static void wake_sleepers(void) {
        deadlines_run(wait_deadlines(), clock_now_ns() + 2 * 3600 * NS_PER_S);
}

static void turns(void) {
        while (turn(0))
                ;
}

static struct control_record told(enum control_kind kind) {
        struct control_record record;

        assert_int_equal(control_receive(manager, CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, kind);
        return record;
}

static bool nothing_told(void) {
        struct control_record record;

        return control_receive(manager, CONTROL_WORKER, CONTROL_MANAGER, &record) == CONTROL_E_AGAIN;
}

static int setup_all(void **state) {
        int link[2], page = page_new_fd();

        assert_int_equal(fd_socketpair(link), 0);
        manager = link[1];
        the_worker = (struct worker){ .start = { .link = link[0], .settings = &settings } };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        the_worker.epoll = epoll_create1(EPOLL_CLOEXEC);
        assert_int_equal(wait_init(), 0);
        return 0;
}

/* Registering --------------------------------------------------------------------------------------------------------- */

static void test_register(void **state) {
        struct socle_module *self = &the_worker.module;

        assert_int_equal(socle_subscribe(self, "s.a", on_message, NULL), -EPERM);
        the_worker.starting = true;
        assert_int_equal(socle_subscribe(self, "s.other", on_message, NULL), -ENOENT);
        assert_int_equal(socle_subscribe(self, "p.a", on_message, NULL), -ENOENT);
        assert_int_equal(socle_subscribe(self, "s.a", NULL, NULL), -EINVAL);
        assert_int_equal(socle_subscribe(self, NULL, on_message, NULL), -EINVAL);
        assert_int_equal(socle_topic_lost(self, "s.a"), 0);
        assert_int_equal(socle_subscribe(self, "s.a", on_message, heard), 0);
        assert_int_equal(socle_subscribe(self, "s.a", on_message, heard), -EEXIST);
        assert_int_equal(socle_subscribe(self, "s.slow", on_slow, NULL), 0);
        subscribe_on_ask(); /* a new manager, while it starts: it hears of it when there is something to be told */
        assert_true(nothing_told());
        module_ready();
}

static void expect_announced(const char *topic, uint32_t slot) {
        struct control_record record = told(CONTROL_KIND_SUBSCRIBE);

        assert_string_equal(record.SUBSCRIBE.topic, topic);
        assert_int_equal(record.SUBSCRIBE.slot, slot);
        assert_int_equal(record.n_fds, 1);
        fd_close(ears);
        ears = TAKE_FD(record.fds[0]);
}

static void test_announce(void **state) {
        struct control_record record;

        ears = -1;
        for (int i = 0; i < 2; i++) {
                expect_announced("s.a", 0);
                expect_announced("s.slow", 1);
                if (i == 0) {
                        record = told(CONTROL_KIND_LEVEL);
                        assert_int_equal(record.LEVEL.level, PAGE_READY);
                        subscribe_on_ask();
                }
        }
        assert_true(nothing_told());
}

/* Publishing ---------------------------------------------------------------------------------------------------------- */

static int publish(const char *topic, const char *format, long long value) {
        struct socle_buffer *b = socle_buffer_new();
        int r;

        assert_int_equal(socle_pack(b, format, value), 0);
        r = socle_publish(topic, b);
        socle_buffer_free(b);
        return r;
}

static int publish_bytes(const char *topic, size_t size) {
        struct socle_buffer *b = socle_buffer_new();
        uint8_t bytes[RING] = { 0 };
        int r;

        assert_int_equal(socle_pack(b, "y#", bytes, size), 0);
        r = socle_publish(topic, b);
        socle_buffer_free(b);
        return r;
}

static void test_what_may_be_published(void **state) {
        struct socle_buffer *b = socle_buffer_new();

        assert_int_equal(publish("s.a", "I", 1), SOCLE_E_DENIED);
        assert_string_equal(socle_error_detail(), "s.a: module.ini [topics] publish does not list it");
        assert_int_equal(socle_publish(NULL, NULL), -EINVAL);
        assert_int_equal(publish_bytes("p.a", RING / 4 - FRAME_SIZE - 2), SOCLE_E_TOO_LARGE);
        assert_int_equal(publish_bytes("p.a", RING / 4 - FRAME_SIZE - 3), 0);
        assert_int_equal(socle_publish("p.a", NULL), 0);
        assert_int_equal(socle_pack(b, "i", 1), 0);
        assert_int_equal(socle_pack(b, "i", 2), 0);
        assert_int_equal(socle_publish("p.a", b), -EINVAL);
        socle_buffer_free(b);
        assert_int_equal(the_worker.start.page->published, 2);
}

static struct control_topic topic(const char *name, uint64_t peer, uint32_t slot) {
        struct control_topic body = { .peer = peer, .slot = slot };

        memcpy(body.topic, name, strlen(name));
        return body;
}

static void join(const char *name, uint64_t subscriber, struct ears *of) {
        struct control_topic body = topic(name, subscriber, 5);

        publish_on_join(&body, fd_dup(ears_fd(of)));
}

static struct topic_reader *accepted(const char *name, uint64_t subscriber) {
        struct control_record record = told(CONTROL_KIND_TOPIC_ACCEPT);
        struct topic_reader *reader;

        assert_string_equal(record.TOPIC_ACCEPT.topic, name);
        assert_int_equal(record.TOPIC_ACCEPT.peer, subscriber);
        assert_int_equal(record.TOPIC_ACCEPT.error, 0);
        if (!record.n_fds)
                return NULL;
        assert_int_equal(topic_reader_new(&reader, TAKE_FD(record.fds[0]), TAKE_FD(record.fds[1]),
                                          (struct topic_mark){ record.TOPIC_ACCEPT.position, record.TOPIC_ACCEPT.number }),
                         0);
        return reader;
}

static void expect_next(struct topic_reader *reader, uint8_t byte) {
        struct topic_message m;
        uint64_t lost;

        assert_int_equal(topic_read(reader, &m, &lost), 0);
        assert_int_equal(lost, 0);
        assert_int_equal(m.size, 1);
        assert_int_equal(m.payload[0], byte);
}

static bool is_empty(struct topic_reader *reader) {
        struct topic_message m;
        uint64_t lost;

        return topic_read(reader, &m, &lost) == TOPIC_E_EMPTY;
}

static void expect_refused(int error) {
        struct control_record record = told(CONTROL_KIND_TOPIC_ACCEPT);

        assert_int_equal(record.n_fds, 0);
        assert_int_equal(record.TOPIC_ACCEPT.error, error);
}

static void test_subscribers_come_and_go(void **state) {
        struct topic_reader *one, *two;
        struct control_topic leave = topic("p.a", 21, 0);
        struct ears *of;

        assert_int_equal(ears_new(&of), 0);
        join("p.a", 20, of);
        one = accepted("p.a", 20);
        assert_true(is_empty(one)); /* what was before is not there */
        assert_int_equal(publish("p.a", "I", 1), 0);
        assert_int_equal(publish("p.b", "I", 9), 0);
        join("p.a", 21, of);
        two = accepted("p.a", 21);
        assert_int_equal(publish("p.a", "I", 2), 0);
        expect_next(one, 1);
        expect_next(one, 2);
        expect_next(two, 2);
        /* who has joined already has; who has gone may come again */
        join("p.a", 20, of);
        assert_null(accepted("p.a", 20));
        topic_reader_free(one);
        join("p.a", 20, of);
        one = accepted("p.a", 20);
        assert_int_equal(publish("p.a", "I", 3), 0);
        expect_next(one, 3);
        expect_next(two, 3);
        publish_on_leave(&leave);
        topic_reader_on_bell(two);
        assert_true(is_empty(two) && topic_reader_ended(two));
        topic_reader_on_bell(one);
        assert_true(is_empty(one) && !topic_reader_ended(one));
        topic_reader_free(one);
        topic_reader_free(two);
        ears_free(of);
}

static void expect_violation(uint64_t peer, enum violation reason) {
        struct control_record record = told(CONTROL_KIND_EDGE_POISONED);

        assert_int_equal(record.EDGE_POISONED.peer, peer);
        assert_int_equal(record.EDGE_POISONED.reason, reason);
}

static void test_subscribers_that_lie(void **state) {
        struct control_topic body = topic("p.a", 30, 5);
        int bell[2];

        assert_int_equal(fd_pipe(bell), 0);
        publish_on_join(&body, bell[0]);
        expect_violation(30, VIOLATION_TOPIC_EARS);
        expect_refused(ERROR_BAD_REQUEST);
        body.slot = EARS_MAX;
        publish_on_join(&body, fd_dup(ears));
        expect_violation(30, VIOLATION_TOPIC_EARS);
        expect_refused(ERROR_BAD_REQUEST);
        body.slot = 5;
        publish_on_join(&body, -1); /* there was no room for the descriptor */
        expect_refused(ERROR_BUSY);
        body = topic("s.a", 30, 5);
        publish_on_join(&body, fd_dup(ears));
        expect_refused(ERROR_DENIED);
        fd_close(bell[1]);
        assert_true(nothing_told());
}

/* Subscribing --------------------------------------------------------------------------------------------------------- */

struct publisher {
        struct topic_writer *writer;
        struct topic_listener *listener;
};

static struct publisher source(const char *name, uint64_t id, uint32_t slot) {
        struct control_topic body = topic(name, id, 0);
        struct publisher p;

        assert_int_equal(topic_writer_new(&p.writer, RING), 0);
        assert_int_equal(topic_listener_new(&p.listener, fd_dup(ears), slot), 0);
        subscribe_on_source(&body, fd_dup(topic_writer_fd(p.writer)), fd_dup(topic_listener_fd(p.listener)));
        topic_listener_sent(p.listener);
        turns();
        return p;
}

static void send_bytes(struct publisher *p, const void *bytes, uint32_t size) {
        assert_int_equal(topic_write(p->writer, bytes, size), 0);
        shared_fence();
        assert_int_equal(topic_listener_ring(p->listener), 0);
}

static void send_number(struct publisher *p, uint8_t n) {
        send_bytes(p, &n, 1);
}

static void hang_up(struct publisher *p) {
        topic_listener_free(p->listener);
        topic_writer_free(p->writer);
}

static void expect_heard(unsigned n, const long long *numbers) {
        turns();
        assert_int_equal(n_heard, n);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(heard[i], numbers[i]);
        n_heard = 0;
}

static void test_messages(void **state) {
        struct publisher a = source("s.a", 40, 0), b = source("s.a", 41, 0);

        send_number(&a, 1);
        send_number(&a, 2);
        send_bytes(&a, NULL, 0);
        send_number(&b, 3);
        send_number(&a, 4);
        send_number(&b, 5);
        /* each in its order, and neither kept waiting by the other */
        turns();
        assert_int_equal(n_heard, 6);
        assert_true(heard[0] + heard[1] == 1 + 3);
        n_heard = 0;
        send_number(&b, 6);
        expect_heard(1, (const long long[]){ 6 });
        assert_int_equal(the_worker.start.page->received, 7);
        /* what was published before the end is heard */
        send_number(&a, 7);
        hang_up(&a);
        expect_heard(1, (const long long[]){ 7 });
        send_number(&b, 8);
        expect_heard(1, (const long long[]){ 8 });
        hang_up(&b);
        expect_heard(0, NULL);
}

static void test_losses_are_counted(void **state) {
        struct publisher p = source("s.a", 42, 0);

        for (int i = 0; i < 1000; i++)
                send_number(&p, 1);
        turns();
        assert_int_equal(n_heard + socle_topic_lost(&the_worker.module, "s.a"), 1000);
        assert_true(n_heard > 0 && n_heard < 1000);
        assert_int_equal(the_worker.start.page->topic_lost, 1000 - n_heard);
        assert_int_equal(socle_topic_lost(&the_worker.module, "s.slow"), 0);
        n_heard = 0;
        hang_up(&p);
        turns();
}

static void test_publishers_that_lie(void **state) {
        struct publisher good = source("s.a", 43, 0), bad = source("s.a", 44, 0);
        struct control_topic body = topic("s.a", 45, 0);
        int bell[2];

        send_number(&bad, 1);
        send_bytes(&bad, "\xc1", 1); /* of no type */
        send_number(&good, 2);
        turns();
        assert_int_equal(n_heard, 2);
        assert_true(topic_listener_is_gone(bad.listener));
        assert_false(topic_listener_is_gone(good.listener));
        expect_violation(44, VIOLATION_TOPIC_VALUE);
        n_heard = 0;
        /* a ring that is none; a topic that nobody has asked for */
        assert_int_equal(fd_pipe(bell), 0);
        subscribe_on_source(&body, fd_dup(bell[0]), fd_dup(bell[0]));
        expect_violation(45, VIOLATION_TOPIC_MEMORY);
        body = topic("s.unused", 45, 0);
        subscribe_on_source(&body, fd_dup(topic_writer_fd(good.writer)), bell[0]);
        turns();
        send_number(&good, 3);
        expect_heard(1, (const long long[]){ 3 });
        hang_up(&good);
        hang_up(&bad);
        fd_close(bell[1]);
        turns();
}

/* More wakes than a pipe holds bells: none is lost, and it ends when it ends. */
static void test_many_bells(void **state) {
        struct publisher p = source("s.a", 50, 0), quiet = source("s.a", 51, 0);

        for (int i = 0; i < 100000; i++) {
                send_number(&p, 1);
                turns();
                assert_int_equal(n_heard, 1);
                n_heard = 0;
        }
        hang_up(&p);
        turns();
        send_number(&quiet, 2);
        expect_heard(1, (const long long[]){ 2 });
        hang_up(&quiet);
        turns();
}

/* A handler that waits holds up its own topic alone, and one runs at a time. */
static void test_a_slow_handler(void **state) {
        static const uint8_t slow[] = { 0xa4, 's', 'l', 'o', 'w' };
        struct publisher s = source("s.slow", 46, 1), a = source("s.a", 47, 0);

        for (int i = 0; i < 3; i++)
                send_bytes(&s, slow, sizeof(slow));
        turns();
        assert_int_equal(n_slow_begun, 1);
        assert_int_equal(the_worker.in_flight, 1);
        send_number(&a, 9);
        expect_heard(1, (const long long[]){ 9 });
        while (n_slow_ended < 3) {
                assert_true(n_slow_begun - n_slow_ended <= 1);
                wake_sleepers();
                turns();
        }
        assert_int_equal(the_worker.in_flight, 0);
        /* and it sleeps again, to be woken */
        send_bytes(&s, slow, sizeof(slow));
        turns();
        assert_int_equal(n_slow_begun, 4);
        wake_sleepers();
        assert_int_equal(n_slow_ended, 4);
        hang_up(&s);
        hang_up(&a);
        turns();
}

static void test_who_drains_hears_no_more(void **state) {
        struct publisher a = source("s.a", 48, 0), late;

        send_number(&a, 1);
        the_worker.draining = true;
        subscribe_leave();
        assert_true(topic_listener_is_gone(a.listener));
        /* a publisher who was not told finds out */
        assert_int_equal(topic_listener_ring(a.listener), -EPIPE);
        late = source("s.a", 49, 0);
        assert_true(topic_listener_is_gone(late.listener));
        subscribe_on_ask();
        assert_true(nothing_told());
        expect_heard(0, NULL);
        /* a new manager had asked: he is told when he has it go on */
        the_worker.draining = false;
        subscribe_announce();
        expect_announced("s.a", 0);
        expect_announced("s.slow", 1);
        hang_up(&a);
        hang_up(&late);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_register),
                cmocka_unit_test(test_announce),
                cmocka_unit_test(test_what_may_be_published),
                cmocka_unit_test(test_subscribers_come_and_go),
                cmocka_unit_test(test_subscribers_that_lie),
                cmocka_unit_test(test_messages),
                cmocka_unit_test(test_losses_are_counted),
                cmocka_unit_test(test_publishers_that_lie),
                cmocka_unit_test(test_many_bells),
                cmocka_unit_test(test_a_slow_handler),
                cmocka_unit_test(test_who_drains_hears_no_more),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, setup_all, NULL);
}
