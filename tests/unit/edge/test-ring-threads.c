/* SPDX-License-Identifier: Apache-2.0
 *
 * A producer and a consumer in threads of their own, each asleep in epoll_wait()
 * whenever the protocol says that it may be: two million messages, each looked
 * at whole. A lost wake shows as a sleep that does not end. That both sleep is
 * not left to the scheduler: each pauses once until the other has.
 *
 * Both touch the ring at one address (one-address.c).
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

#define MESSAGES UINT64_C(2000000)
#define PRODUCER_PAUSE UINT64_C(1000) /* before this message, until the consumer has slept: nothing comes */
#define CONSUMER_PAUSE UINT64_C(2000) /* before this message, until the producer has slept: nothing goes; behind the other's pause */
#define WAKE_MS 20000
#define LARGE_EVERY 4096 /* one message in so many is larger than a record */
#define LARGE_SIZE 3000u
#define SMALL_MAX 96u

/* The two ends -------------------------------------------------------------------------------------------------------- */

static uint32_t size_of(uint64_t number) {
        return number % LARGE_EVERY == LARGE_EVERY - 1 ? LARGE_SIZE : (uint32_t)(number * 7 % SMALL_MAX);
}

static uint8_t byte_of(uint64_t number, uint32_t i) {
        return (uint8_t)(number * 167 + i * 13);
}

/* Each end has a set to sleep on, as a loop has. */
static int watch(const struct edge *edge) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        assert_true(epoll >= 0);
        assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, edge_wait_fd(edge), &event), 0);
        return epoll;
}

/* A deadline here is a wake that was lost. */
static void sleep_until_rung(int epoll, struct edge *edge, const char *who, uint64_t number) {
        struct epoll_event event;

        if (epoll_wait(epoll, &event, 1, WAKE_MS) != 1) {
                print_error("the %s sleeps at message %llu and nobody wakes it\n", who, (unsigned long long)number);
                abort();
        }
        assert_int_equal(edge_on_event(edge, event.events & EPOLLHUP), 0);
}

struct ends {
        struct edge *producer, *consumer;
        int producer_epoll, consumer_epoll;
        _Atomic uint64_t n_producer_sleeps, n_consumer_sleeps; /* begun */
};

/* Relaxed, as is the counting: it must not order what the ring itself does not. */
static void count_sleep(_Atomic uint64_t *n_sleeps) {
        atomic_fetch_add_explicit(n_sleeps, 1, memory_order_relaxed);
}

static void pause_until_slept(_Atomic uint64_t *n_sleeps) {
        while (atomic_load_explicit(n_sleeps, memory_order_relaxed) == 0)
                sched_yield();
}

static void on_sent(struct edge_outgoing *out, int result) {
        *(bool *)out->userdata = result == 0;
}

static void produce_one(struct ends *e, uint64_t number, uint8_t *payload) {
        struct frame frame = { .kind = FRAME_CAST, .correlation = number };
        bool sent = false;
        struct edge_outgoing out = { .on_sent = on_sent, .userdata = &sent };
        uint32_t size = size_of(number);
        struct edge_message none;
        int r;

        for (uint32_t i = 0; i < size; i++)
                payload[i] = byte_of(number, i);
        r = edge_send(e->producer, &frame, payload, size, &out);
        if (r == 0)
                return;
        assert_int_equal(r, EDGE_E_FULL);
        while (!sent) {
                assert_int_equal(edge_receive(e->producer, &none), EDGE_E_EMPTY);
                assert_true(edge_arm(e->producer));
                count_sleep(&e->n_producer_sleeps);
                sleep_until_rung(e->producer_epoll, e->producer, "producer", number);
        }
}

static void *produce(void *arg) {
        uint8_t payload[LARGE_SIZE];
        struct ends *e = arg;

        for (uint64_t number = 0; number < MESSAGES; number++) {
                if (number == PRODUCER_PAUSE)
                        pause_until_slept(&e->n_consumer_sleeps);
                produce_one(e, number, payload);
                /* batches of all sizes, so that each side sleeps now and then */
                if (number % 17 == 0 || number % 5 == 0 || number == MESSAGES - 1)
                        assert_int_equal(edge_flush(e->producer), 0);
        }
        return NULL;
}

static void check(const struct edge_message *m, uint64_t number) {
        assert_int_equal(m->frame.correlation, number);
        assert_int_equal(m->size, size_of(number));
        for (uint32_t i = 0; i < m->size; i++) {
                if (m->payload[i] != byte_of(number, i))
                        fail_msg("message %llu is broken at byte %u", (unsigned long long)number, i);
        }
}

static void consume(struct ends *e) {
        for (uint64_t number = 0; number < MESSAGES;) {
                struct edge_message m;
                int r;

                if (number == CONSUMER_PAUSE)
                        pause_until_slept(&e->n_producer_sleeps);
                r = edge_receive(e->consumer, &m);
                if (r == 0) {
                        check(&m, number++);
                        continue;
                }
                assert_int_equal(r, EDGE_E_EMPTY);
                if (!edge_arm(e->consumer))
                        continue;
                count_sleep(&e->n_consumer_sleeps);
                sleep_until_rung(e->consumer_epoll, e->consumer, "consumer", number);
        }
}

static void test_two_threads(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 64 << 10, .max_partial = 64 << 10 };
        struct ends e = { 0 };
        pthread_t thread;

        edges_join(&e.producer, &e.consumer, &limits);
        e.producer_epoll = watch(e.producer);
        e.consumer_epoll = watch(e.consumer);
        assert_int_equal(pthread_create(&thread, NULL, produce, &e), 0);
        consume(&e);
        assert_int_equal(pthread_join(thread, NULL), 0);
        /* Without sleeps on both sides nothing was tested. */
        assert_true(e.n_producer_sleeps > 0);
        assert_true(e.n_consumer_sleeps > 0);
        assert_int_equal(edge_on_bell(e.producer), 0);
        assert_true(edge_is_idle(e.producer) && edge_is_idle(e.consumer));
        edge_free(e.producer);
        edge_free(e.consumer);
        fd_close(e.producer_epoll);
        fd_close(e.consumer_epoll);
}

/* Request and reply, one in flight: every message meets a sleeper. */
static void *echo(void *arg) {
        struct edge *edge = arg;
        int epoll = watch(edge);

        for (uint64_t number = 0; number < MESSAGES / 40;) {
                struct edge_message m;
                int r = edge_receive(edge, &m);

                if (r == 0) {
                        struct frame frame = { .kind = FRAME_REPLY, .correlation = m.frame.correlation };

                        edge_accept(edge, &m);
                        assert_int_equal(edge_send(edge, &frame, m.payload, m.size, NULL), 0);
                        number++;
                        continue;
                }
                assert_int_equal(edge_flush(edge), 0);
                if (!edge_arm(edge))
                        continue;
                sleep_until_rung(epoll, edge, "server", number);
        }
        assert_int_equal(edge_flush(edge), 0);
        fd_close(epoll);
        return NULL;
}

static void call(int epoll, struct edge *edge, uint64_t number) {
        struct frame frame = { .kind = FRAME_REQUEST, .correlation = number };
        struct edge_message m;

        assert_int_equal(edge_send(edge, &frame, &number, sizeof(number), NULL), 0);
        assert_int_equal(edge_flush(edge), 0);
        while (edge_receive(edge, &m)) {
                if (!edge_arm(edge))
                        continue;
                sleep_until_rung(epoll, edge, "caller", number);
        }
        assert_int_equal(m.frame.correlation, number);
        assert_memory_equal(m.payload, &number, sizeof(number));
        assert_true(edge_peer_accepted(edge) == edge_sent_position(edge));
}

static void test_calls(void **state) {
        struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        struct edge *caller, *server;
        pthread_t thread;
        int epoll;

        edges_join(&caller, &server, &limits);
        epoll = watch(caller);
        assert_int_equal(pthread_create(&thread, NULL, echo, server), 0);
        for (uint64_t number = 0; number < MESSAGES / 40; number++)
                call(epoll, caller, number);
        assert_int_equal(pthread_join(thread, NULL), 0);
        edge_free(caller);
        edge_free(server);
        fd_close(epoll);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_threads),
                cmocka_unit_test(test_calls),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
