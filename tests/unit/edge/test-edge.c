/* SPDX-License-Identifier: Apache-2.0
 *
 * Two honest edges in one process: what is sent arrives, in whatever sizes, who sleeps
 * is woken, and an end is told. Lying peers are in test-edge-hostile.c, threads in
 * test-ring-threads.c.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "pair.h"

static void test_sizes(void **state) {
        static const uint32_t sizes[] = { 0,
                                          1,
                                          15,
                                          16,
                                          17,
                                          RECORD_MAX - 1,
                                          RECORD_MAX,
                                          RECORD_MAX + 1,
                                          2 * RECORD_MAX,
                                          2 * RECORD_MAX + 1,
                                          RING - 1,
                                          RING,
                                          RING + 1,
                                          65536,
                                          (1 << 20) - 1,
                                          1 << 20 };
        struct pair *p = *state;

        for (uint32_t i = 0; i < N_ELEMENTS(sizes); i++) {
                pair_round_trip(p->a, p->b, sizes[i], i);
                pair_round_trip(p->b, p->a, sizes[i], i + 100);
        }
        assert_true(edge_is_idle(p->a));
        assert_true(edge_is_idle(p->b));
}

/* Every offset at which a record can meet the end of the ring. */
static void test_wrap(void **state) {
        struct pair *p = *state;

        for (uint32_t i = 0; i < 20000; i++)
                pair_round_trip(p->a, p->b, (i * 37) % (RECORD_MAX + 1), i);
}

static void test_rings_of_all_sizes(void **state) {
        for (uint32_t size = EDGE_RING_MIN; size <= 1 << 20; size *= 4) {
                struct edge_limits limits = { .ring_size = size, .max_message = 1 << 20, .max_partial = 1 << 20 };
                struct edge *a, *b;

                edges_join(&a, &b, &limits);
                for (uint32_t n = 1; n <= 1 << 20; n = n * 4 + 1)
                        pair_round_trip(a, b, n, n);
                edge_free(a);
                edge_free(b);
        }
}

/* KiB of this process's rings that exist. */
static unsigned long resident_kb(void) {
        FILE *f = fopen("/proc/self/smaps", "re");
        unsigned long kb, sum = 0;
        bool owned = false;
        char line[512], mode[5];

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                if (sscanf(line, "%*x-%*x %4s", mode) == 1)
                        owned = strstr(line, "socle-edge") && mode[1] == 'w';
                else if (owned && sscanf(line, "Rss: %lu kB", &kb) == 1)
                        sum += kb;
        }
        fclose(f);
        return sum;
}

/* A large ring is there for long messages and bursts: short ones that are taken at once do not walk through all of it. */
static void test_nearly_empty_ring_stays_small(void **state) {
        struct edge_limits limits = { .ring_size = 128 << 10, .max_message = 1 << 20, .max_partial = 1 << 20 };
        struct edge_message none;
        struct edge *a, *b;

        edges_join(&a, &b, &limits);
        for (uint32_t i = 0; i < 10000; i++) {
                pair_round_trip(a, b, i % 200, i);
                assert_int_equal(edge_receive(b, &none), EDGE_E_EMPTY);
        }
        assert_in_range(resident_kb(), 8, 4 + 12 + 4);
        pair_round_trip(a, b, 1 << 20, 0);
        assert_in_range(resident_kb(), 4 + 128 + 4, 4 + 128 + 8);
        for (uint32_t i = 0; i < 10000; i++)
                pair_round_trip(a, b, i * 37 % 40000, i);
        edge_free(a);
        edge_free(b);
}

/* Bursts of all lengths, taken in part: whatever the ring's end or a new beginning does to a batch, all of it arrives. */
static void test_bursts(void **state) {
        struct edge_limits limits = { .ring_size = 64 << 10, .max_message = 1 << 20, .max_partial = 1 << 20 };
        struct frame frame = { .kind = FRAME_CAST };
        uint32_t sent = 0, received = 0, dice = 1;
        uint8_t data[4000];
        struct edge *a, *b;

        edges_join(&a, &b, &limits);
        while (received < 100000) {
                struct edge_message m;

                dice = dice * 1664525 + 1013904223;
                for (uint32_t n = dice >> 24; n; n--) {
                        uint32_t size = sent * 2654435761u >> (20 + sent % 3);

                        pair_fill(data, MIN(size, 4000u), sent);
                        if (edge_send(a, &frame, data, MIN(size, 4000u), NULL) == EDGE_E_FULL)
                                break;
                        sent++;
                }
                edge_flush(a);
                for (uint32_t n = dice >> 16 & 0xff; n && !edge_receive(b, &m); n--) {
                        uint32_t size = received * 2654435761u >> (20 + received % 3);

                        pair_assert_filled(&m, MIN(size, 4000u), received++);
                }
        }
        edge_free(a);
        edge_free(b);
}

static void test_bad_limits(void **state) {
        static const uint32_t sizes[] = { 0, 1, 4095, 4097, 6144, EDGE_RING_MIN / 2, EDGE_RING_MAX * 2, UINT32_MAX };
        struct edge *edge;

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                struct edge_limits limits = PAIR_LIMITS;

                limits.ring_size = sizes[i];
                assert_int_equal(edge_new(&edge, &limits), -EINVAL);
        }
}

static void test_not_attached(void **state) {
        struct frame frame = { .kind = FRAME_CAST };
        struct edge_message m;
        struct edge *edge;

        assert_int_equal(edge_new(&edge, &PAIR_LIMITS), 0);
        assert_int_equal(edge_wait_fd(edge), -1);
        assert_int_equal(edge_send(edge, &frame, NULL, 0, NULL), EDGE_E_CLOSED);
        assert_int_equal(edge_receive(edge, &m), EDGE_E_EMPTY);
        assert_int_equal(edge_flush(edge), 0);
        assert_true(edge_arm(edge));
        assert_int_equal(edge_peer_accepted(edge), 0);
        edge_free(edge);
        assert_null(edge_free(NULL));
}

static void test_too_large(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_CAST };
        struct edge_outgoing out = { 0 };
        uint8_t byte = 0;

        assert_int_equal(edge_send(p->a, &frame, &byte, (1 << 20) + 1, &out), EDGE_E_TOO_LARGE);
        assert_int_equal(edge_sent_position(p->a), 0);
}

/* Whether a message goes on is the edge's to say. */
static void test_more_is_not_the_callers(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_CAST, .flags = FRAME_MORE | FRAME_LANE };
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &frame, "x", 1, NULL), 0);
        assert_int_equal(edge_flush(p->a), 0);
        assert_int_equal(edge_receive(p->b, &m), 0);
        assert_int_equal(m.frame.flags, FRAME_LANE);
}

static void test_nothing_before_flush(void **state) {
        struct pair *p = *state;
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST }, "x", 1, NULL), 0);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_false(pair_rung(p->b));
        assert_int_equal(edge_flush(p->a), 0);
        assert_true(pair_rung(p->b));
        assert_int_equal(edge_receive(p->b, &m), 0);
}

static void test_take_payload(void **state) {
        static const uint32_t sizes[] = { 0, 1, RECORD_MAX, RECORD_MAX + 1, RING * 3 };
        struct pair *p = *state;

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                _cleanup_free_ uint8_t *payload = calloc(1, sizes[i] + 1), *taken = NULL;
                struct edge_outgoing out = { 0 };
                struct edge_message m, next;

                pair_fill(payload, sizes[i], 5);
                edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = i }, payload, sizes[i], &out);
                edge_flush(p->a);
                pair_take(p->a, p->b, &m);
                taken = edge_message_take(p->b, &m);
                assert_non_null(taken);
                /* outlives what comes next */
                edge_send(p->a, &(struct frame){ .kind = FRAME_CAST }, "zzzz", 4, NULL);
                edge_flush(p->a);
                pair_take(p->a, p->b, &next);
                if (sizes[i])
                        assert_memory_equal(taken, payload, sizes[i]);
        }
}

/* A caller whose peer has died knows what it had begun. */
static void test_accepted_positions(void **state) {
        struct pair *p = *state;
        uint64_t first, second;
        struct edge_message m;

        edge_send(p->a, &(struct frame){ .kind = FRAME_REQUEST, .correlation = 1 }, "1", 1, NULL);
        first = edge_sent_position(p->a);
        edge_send(p->a, &(struct frame){ .kind = FRAME_REQUEST, .correlation = 2 }, "2", 1, NULL);
        second = edge_sent_position(p->a);
        edge_flush(p->a);
        assert_int_equal(edge_peer_accepted(p->a), 0);
        assert_int_equal(edge_receive(p->b, &m), 0);
        assert_int_equal(m.position, first);
        edge_accept(p->b, &m);
        assert_int_equal(edge_receive(p->b, &m), 0);
        p->b = edge_free(p->b);
        assert_int_equal(edge_peer_accepted(p->a), first);
        assert_true(second > first);
}

/* All that was published before the end is taken before the end is told. */
static void test_peer_gone(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_REPLY, .correlation = 4 };
        struct edge_message m;

        assert_int_equal(edge_send(p->b, &frame, "x", 1, NULL), 0);
        assert_int_equal(edge_flush(p->b), 0);
        p->b = edge_free(p->b);
        assert_true(pair_rung(p->a));
        edge_on_bell(p->a);
        assert_int_equal(edge_receive(p->a, &m), 0);
        assert_int_equal(m.frame.correlation, 4);
        assert_int_equal(edge_receive(p->a, &m), EDGE_E_CLOSED);
        assert_int_equal(edge_send(p->a, &frame, NULL, 0, NULL), EDGE_E_CLOSED);
        assert_null(edge_poison_reason(p->a));
}

/* Who is told of each event reads few of the bells: none is missed for that, they do not fill the pipe, and an end behind
 * them is seen. */
static void test_bells_are_left(void **state) {
        struct pair *p = *state;
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };
        struct frame frame = { .kind = FRAME_CAST, .correlation = 1 };
        struct edge_message m;
        int epoll = epoll_create1(EPOLL_CLOEXEC), n, most = 0;

        assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, edge_wait_fd(p->a), &event), 0);
        for (int i = 0; i < 3000; i++) {
                assert_int_equal(edge_receive(p->a, &m), EDGE_E_EMPTY);
                assert_true(edge_arm(p->a));
                assert_int_equal(edge_send(p->b, &frame, "x", 1, NULL), 0);
                assert_int_equal(edge_flush(p->b), 0);
                assert_int_equal(epoll_wait(epoll, &event, 1, 1000), 1);
                assert_int_equal(edge_on_event(p->a, event.events & EPOLLHUP), 0);
                assert_int_equal(edge_receive(p->a, &m), 0);
                assert_int_equal(ioctl(edge_wait_fd(p->a), FIONREAD, &n), 0);
                most = MAX(most, n);
        }
        assert_in_range(most, 2, 1024);
        assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
        p->b = edge_free(p->b);
        assert_int_equal(epoll_wait(epoll, &event, 1, 1000), 1);
        edge_on_event(p->a, event.events & EPOLLHUP);
        assert_int_equal(edge_receive(p->a, &m), EDGE_E_CLOSED);
        fd_close(epoll);
}

static void test_where_the_peer_sleeps(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_REPLY, .correlation = 4 };
        cpu_set_t before, one;
        struct edge_message m;

        assert_int_equal(edge_peer_cpu(p->a), -1);
        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        for (int cpu = 0; cpu < 8; cpu++) {
                if (!CPU_ISSET((size_t)cpu, &before))
                        continue;
                CPU_ZERO(&one);
                CPU_SET((size_t)cpu, &one);
                assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
                assert_int_equal(edge_send(p->a, &frame, "x", 1, NULL), 0);
                assert_int_equal(edge_flush(p->a), 0);
                edge_on_bell(p->b);
                assert_int_equal(edge_receive(p->b, &m), 0);
                assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
                assert_true(edge_arm(p->b));
                assert_int_equal(edge_peer_cpu(p->a), cpu);
        }
        assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* The end is met when ringing: the caller must not go to sleep over what is left. */
static void test_peer_gone_seen_by_flush(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_REPLY, .correlation = 4 };
        struct edge_message m;

        assert_int_equal(edge_receive(p->a, &m), EDGE_E_EMPTY);
        assert_true(edge_arm(p->a));
        edge_send(p->b, &frame, "x", 1, NULL);
        edge_flush(p->b);
        p->b = edge_free(p->b);
        edge_send(p->a, &frame, NULL, 0, NULL);
        assert_int_equal(edge_flush(p->a), EDGE_E_CLOSED);
        assert_false(edge_arm(p->a));
        assert_int_equal(edge_receive(p->a, &m), 0);
        assert_int_equal(edge_receive(p->a, &m), EDGE_E_CLOSED);
}

static void test_no_descriptor_stays(void **state) {
        unsigned before = count_fds();
        struct edge *a, *b;

        edges_join(&a, &b, &PAIR_LIMITS);
        /* memory and the reader's end are the peer's now */
        assert_int_equal(count_fds(), before + 4);
        edge_free(a);
        edge_free(b);
        assert_int_equal(count_fds(), before);
        assert_int_equal(edge_new(&a, &PAIR_LIMITS), 0);
        assert_int_equal(count_fds(), before + 3);
        edge_free(a);
        assert_int_equal(count_fds(), before);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PAIR_TEST(test_sizes),
                PAIR_TEST(test_wrap),
                cmocka_unit_test(test_rings_of_all_sizes),
                cmocka_unit_test(test_nearly_empty_ring_stays_small),
                cmocka_unit_test(test_bursts),
                cmocka_unit_test(test_bad_limits),
                cmocka_unit_test(test_not_attached),
                PAIR_TEST(test_too_large),
                PAIR_TEST(test_more_is_not_the_callers),
                PAIR_TEST(test_nothing_before_flush),
                PAIR_TEST(test_take_payload),
                PAIR_TEST(test_accepted_positions),
                PAIR_TEST(test_peer_gone),
                PAIR_TEST(test_bells_are_left),
                PAIR_TEST(test_peer_gone_seen_by_flush),
                PAIR_TEST(test_where_the_peer_sleeps),
                cmocka_unit_test(test_no_descriptor_stays),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
