/* SPDX-License-Identifier: Apache-2.0
 *
 * A publisher and two subscribers in threads of their own: one that reads as
 * fast as it can and one that dawdles, each asleep in poll() whenever the
 * protocol says that it may be. Each message is looked at whole, and at the end
 * what was read and what was lost is all. A lost wake is a sleep that does not
 * end. That both sleep and both lose is not left to the scheduler: the publisher
 * pauses once until they have slept, and each of them once until it is overtaken.
 * All touch the ring at one address (one-address.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "ipc/topic.h"

#define MESSAGES UINT64_C(600000)
#define RING 4096u
#define SLEEP_AT UINT64_C(1000) /* the publisher pauses before this message until all have slept */
#define HOLD_AT UINT64_C(2000)  /* a subscriber pauses once, here or behind; after SLEEP_AT, or both would pause for each other */
#define WAKE_MS 20000
#define SIZE_MAX_HERE 300u

struct subscriber {
        struct topic_listener *listener; /* the publisher's */
        struct ears *ears;
        struct topic_reader *reader;
        unsigned dawdle; /* times that it gives way to others over each message */
        uint64_t n_read, n_lost;
        _Atomic uint64_t n_sleeps; /* begun */
        bool held;
};

static uint32_t size_of(uint64_t number) {
        return (uint32_t)(number * 11 % SIZE_MAX_HERE);
}

static uint8_t byte_of(uint64_t number, uint32_t i) {
        return (uint8_t)(number * 167 + i * 13);
}

static struct topic_writer *writer;
static _Atomic uint64_t n_published;

static void publish(struct subscriber subscribers[2], uint64_t number) {
        uint8_t payload[SIZE_MAX_HERE];

        for (uint32_t i = 0; i < size_of(number); i++)
                payload[i] = byte_of(number, i);
        if (topic_write(writer, payload, size_of(number)) != 0)
                abort();
        shared_fence();
        for (int i = 0; i < 2; i++) {
                if (topic_listener_ring(subscribers[i].listener) != 0)
                        abort();
        }
}

/* The relaxed counters only pace the threads: they must not order what the ring itself does not. */
static void wait_for_sleeps(struct subscriber subscribers[2]) {
        for (int i = 0; i < 2; i++) {
                while (atomic_load_explicit(&subscribers[i].n_sleeps, memory_order_relaxed) == 0)
                        sched_yield();
        }
}

static void *publish_all(void *arg) {
        for (uint64_t number = 0; number < MESSAGES; number++) {
                if (number == SLEEP_AT)
                        wait_for_sleeps(arg);
                publish(arg, number);
                atomic_store_explicit(&n_published, number + 1, memory_order_relaxed);
                if (number % 50 == 0)
                        sched_yield(); /* on few cores nobody else would come to read */
        }
        return NULL;
}

static void check(const struct topic_message *m, uint64_t number) {
        if (m->size != size_of(number)) {
                print_error("message %llu has %u bytes\n", (unsigned long long)number, m->size);
                abort();
        }
        for (uint32_t i = 0; i < m->size; i++) {
                if (m->payload[i] != byte_of(number, i)) {
                        print_error("message %llu is torn at byte %u\n", (unsigned long long)number, i);
                        abort();
                }
        }
}

static void sleep_until_rung(struct subscriber *s, uint64_t number) {
        struct pollfd p = { .fd = topic_reader_wait_fd(s->reader), .events = POLLIN };

        atomic_fetch_add_explicit(&s->n_sleeps, 1, memory_order_relaxed);
        if (poll(&p, 1, WAKE_MS) != 1) {
                print_error("a subscriber sleeps at message %llu and nobody wakes it\n", (unsigned long long)number);
                abort();
        }
        topic_reader_on_bell(s->reader);
        ears_disarm(s->ears, 0);
}

/* Until the ring has no room left for what comes next, or all is written: then it was overtaken before it came here. */
static void hold_still(struct subscriber *s, uint64_t number) {
        uint64_t until = number + RING < MESSAGES ? number + RING : MESSAGES;

        while (atomic_load_explicit(&n_published, memory_order_relaxed) < until)
                sched_yield();
        s->held = true;
}

static void *subscribe(void *arg) {
        struct subscriber *s = arg;
        uint64_t number = 0;

        while (number < MESSAGES) {
                struct topic_message m;
                uint64_t lost;
                int r = topic_read(s->reader, &m, &lost);

                if (r == 0) {
                        number += lost;
                        s->n_lost += lost;
                        s->n_read++;
                        check(&m, number++);
                        if (!s->held && number >= HOLD_AT)
                                hold_still(s, number);
                        for (unsigned i = 0; i < s->dawdle; i++)
                                sched_yield();
                        continue;
                }
                if (r != TOPIC_E_EMPTY) {
                        print_error("at message %llu: %s\n", (unsigned long long)number, violation_text(topic_reader_violation(s->reader)));
                        abort();
                }
                ears_arm(s->ears, 0);
                if (topic_reader_is_empty(s->reader))
                        sleep_until_rung(s, number);
        }
        return NULL;
}

static void join(struct subscriber *s, unsigned dawdle) {
        s->dawdle = dawdle;
        assert_int_equal(ears_new(&s->ears), 0);
        assert_int_equal(topic_listener_new(&s->listener, fd_dup(ears_fd(s->ears)), 0), 0);
        assert_int_equal(topic_reader_new(&s->reader, fd_dup(topic_writer_fd(writer)), fd_dup(topic_listener_fd(s->listener)),
                                          topic_writer_mark(writer)),
                         0);
}

static void test_a_writer_and_two_readers(void **state) {
        struct subscriber s[2] = { 0 };
        pthread_t threads[3];

        assert_int_equal(topic_writer_new(&writer, RING), 0);
        join(&s[0], 0);
        join(&s[1], 20);
        assert_int_equal(pthread_create(&threads[0], NULL, subscribe, &s[0]), 0);
        assert_int_equal(pthread_create(&threads[1], NULL, subscribe, &s[1]), 0);
        assert_int_equal(pthread_create(&threads[2], NULL, publish_all, s), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(s[i].n_read + s[i].n_lost, MESSAGES);
                /* else nothing was tested */
                assert_true(s[i].n_read > 0 && s[i].n_lost > 0 && s[i].n_sleeps > 0);
                topic_listener_free(s[i].listener);
                topic_reader_free(s[i].reader);
                ears_free(s[i].ears);
        }
        topic_writer_free(writer);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_writer_and_two_readers),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
