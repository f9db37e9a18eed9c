/* SPDX-License-Identifier: Apache-2.0
 *
 * Two honest edges in one process: what is sent arrives, in whatever sizes, and
 * who sleeps is woken. Lying peers are in test-edge-hostile.c, threads in
 * test-ring-threads.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"

#define LIMITS ((struct edge_limits){ .ring_size = RING, .max_message = 1 << 20, .max_partial = 4 << 20 })
#define TURNS_MAX 100000

struct pair {
        struct edge *a, *b;
};

static int setup(void **state) {
        static struct pair p;

        edges_join(&p.a, &p.b, &LIMITS);
        *state = &p;
        return 0;
}

static int teardown(void **state) {
        struct pair *p = *state;

        p->a = edge_free(p->a);
        p->b = edge_free(p->b);
        return 0;
}

static bool rung(const struct edge *edge) {
        struct pollfd p = { .fd = edge_wait_fd(edge), .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}

/* As epoll would: the bell's handler runs only when it rang. */
static void on_events(struct edge *edge) {
        if (rung(edge))
                edge_on_bell(edge);
}

static void fill(uint8_t *data, uint32_t size, uint32_t seed) {
        for (uint32_t i = 0; i < size; i++)
                data[i] = (uint8_t)(seed + i * 31 + (i >> 8) * 7);
}

static void assert_filled(const struct edge_message *m, uint32_t size, uint32_t seed) {
        _cleanup_free_ uint8_t *expected = calloc(1, size + 1);

        fill(expected, size, seed);
        assert_int_equal(m->size, size);
        if (size)
                assert_memory_equal(m->payload, expected, size);
}

static void count_sent(struct edge_outgoing *out, int result) {
        int *n = out->userdata;

        assert_int_equal(result, 0);
        ++*n;
}

/* The next message at `to`, while `from` sends what it had queued. */
static void take(struct edge *from, struct edge *to, struct edge_message *ret) {
        for (int i = 0; i < TURNS_MAX; i++) {
                int r;

                on_events(to);
                r = edge_receive(to, ret);
                if (!r)
                        return;
                assert_int_equal(r, EDGE_E_EMPTY);
                if (edge_arm(to) && !rung(from) && !rung(to))
                        fail_msg("both sleep and the message has not come");
                on_events(from);
        }
        fail_msg("the message does not come");
}

static void round_trip(struct edge *from, struct edge *to, uint32_t size, uint32_t seed) {
        struct frame frame = { .kind = FRAME_REQUEST,
                               .flags = FRAME_IDEMPOTENT,
                               .method = 7,
                               .correlation = seed,
                               .deadline = 99,
                               .parent_span = 5,
                               .lane = 3,
                               .version_pin = 4,
                               .generation = 12 };
        _cleanup_free_ uint8_t *payload = calloc(1, size + 1);
        struct edge_outgoing out = { .on_sent = count_sent };
        struct edge_message m;
        int n = 0, r;

        out.userdata = &n;
        memcpy(frame.trace, "0123456789abcdef", 16);
        fill(payload, size, seed);
        r = edge_send(from, &frame, payload, size, &out);
        assert_true(r == 0 || r == EDGE_E_FULL);
        assert_int_equal(edge_flush(from), 0);
        take(from, to, &m);
        assert_int_equal(n, r == EDGE_E_FULL);
        assert_filled(&m, size, seed);
        /* The length is the record's; all else arrives as it was. */
        m.frame.length = 0;
        assert_memory_equal(&m.frame, &frame, sizeof(frame));
}

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
                round_trip(p->a, p->b, sizes[i], i);
                round_trip(p->b, p->a, sizes[i], i + 100);
        }
        assert_true(edge_is_idle(p->a));
        assert_true(edge_is_idle(p->b));
}

/* Every offset at which a record can meet the end of the ring. */
static void test_wrap(void **state) {
        struct pair *p = *state;

        for (uint32_t i = 0; i < 20000; i++)
                round_trip(p->a, p->b, (i * 37) % (RECORD_MAX + 1), i);
}

static void test_rings_of_all_sizes(void **state) {
        for (uint32_t size = EDGE_RING_MIN; size <= 1 << 20; size *= 4) {
                struct edge_limits limits = { .ring_size = size, .max_message = 1 << 20, .max_partial = 1 << 20 };
                struct edge *a, *b;

                edges_join(&a, &b, &limits);
                for (uint32_t n = 1; n <= 1 << 20; n = n * 4 + 1)
                        round_trip(a, b, n, n);
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
                round_trip(a, b, i % 200, i);
                assert_int_equal(edge_receive(b, &none), EDGE_E_EMPTY);
        }
        assert_in_range(resident_kb(), 8, 4 + 12 + 4);
        round_trip(a, b, 1 << 20, 0);
        assert_in_range(resident_kb(), 4 + 128 + 4, 4 + 128 + 8);
        for (uint32_t i = 0; i < 10000; i++)
                round_trip(a, b, i * 37 % 40000, i);
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

                        fill(data, MIN(size, 4000u), sent);
                        if (edge_send(a, &frame, data, MIN(size, 4000u), NULL) == EDGE_E_FULL)
                                break;
                        sent++;
                }
                edge_flush(a);
                for (uint32_t n = dice >> 16 & 0xff; n && !edge_receive(b, &m); n--) {
                        uint32_t size = received * 2654435761u >> (20 + received % 3);

                        assert_filled(&m, MIN(size, 4000u), received++);
                }
        }
        edge_free(a);
        edge_free(b);
}

static void test_bad_limits(void **state) {
        static const uint32_t sizes[] = { 0, 1, 4095, 4097, 6144, EDGE_RING_MIN / 2, EDGE_RING_MAX * 2, UINT32_MAX };
        struct edge *edge;

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                struct edge_limits limits = LIMITS;

                limits.ring_size = sizes[i];
                assert_int_equal(edge_new(&edge, &limits), -EINVAL);
        }
}

static void test_not_attached(void **state) {
        struct frame frame = { .kind = FRAME_CAST };
        struct edge_message m;
        struct edge *edge;

        assert_int_equal(edge_new(&edge, &LIMITS), 0);
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

/* Without somebody to wait for room it is all or nothing. */
static void test_full_without_outgoing(void **state) {
        struct pair *p = *state;
        struct frame frame = { .kind = FRAME_CAST };
        uint8_t payload[RECORD_MAX + 1] = { 0 };
        struct edge_message m;
        uint64_t before;
        int n = 0;

        assert_int_equal(edge_send(p->a, &frame, payload, sizeof(payload), NULL), EDGE_E_FULL);
        assert_int_equal(edge_sent_position(p->a), 0);
        while (edge_send(p->a, &frame, payload, 100, NULL) == 0)
                n++;
        before = edge_sent_position(p->a);
        assert_int_equal(n, RING / 176);
        assert_int_equal(edge_send(p->a, &frame, payload, 100, NULL), EDGE_E_FULL);
        assert_int_equal(edge_sent_position(p->a), before);
        assert_int_equal(edge_flush(p->a), 0);
        for (; n; n--)
                assert_int_equal(edge_receive(p->b, &m), 0);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_int_equal(edge_send(p->a, &frame, payload, 100, NULL), 0);
}

#define QUEUED 50

/* What does not fit is queued, arrives in order, and is told once. */
static void test_back_pressure(void **state) {
        struct pair *p = *state;
        struct edge_outgoing outs[QUEUED] = { 0 };
        uint8_t payload[RECORD_MAX];
        struct edge_message m;
        int n_sent = 0, n_queued = 0;

        fill(payload, sizeof(payload), 1);
        for (uint32_t i = 0; i < QUEUED; i++) {
                struct frame frame = { .kind = FRAME_CAST, .correlation = i };
                int r;

                outs[i] = (struct edge_outgoing){ .on_sent = count_sent, .userdata = &n_sent };
                r = edge_send(p->a, &frame, payload, sizeof(payload), &outs[i]);
                n_queued += r == EDGE_E_FULL;
        }
        assert_int_equal(n_queued, QUEUED - RING / (RECORD_MAX + FRAME_SIZE));
        assert_false(edge_is_idle(p->a));
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST }, NULL, 0, NULL), EDGE_E_FULL);
        for (uint32_t i = 0; i < QUEUED; i++) {
                take(p->a, p->b, &m);
                assert_int_equal(m.frame.correlation, i);
                assert_filled(&m, sizeof(payload), 1);
        }
        on_events(p->a);
        assert_int_equal(n_sent, n_queued);
        assert_true(edge_is_idle(p->a));
}

/* A large message does not block a small one behind it. */
static void test_small_passes_large(void **state) {
        struct pair *p = *state;
        struct edge_outgoing large = { .on_sent = count_sent }, small = { .on_sent = count_sent };
        _cleanup_free_ uint8_t *payload = calloc(1, 1 << 20);
        struct edge_message m;
        int n = 0;

        large.userdata = small.userdata = &n;
        fill(payload, 1 << 20, 3);
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 1 }, payload, 1 << 20, &large), EDGE_E_FULL);
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 2 }, "x", 1, &small), EDGE_E_FULL);
        take(p->a, p->b, &m);
        assert_int_equal(m.frame.correlation, 2);
        assert_int_equal(n, 1);
        take(p->a, p->b, &m);
        assert_int_equal(m.frame.correlation, 1);
        assert_filled(&m, 1 << 20, 3);
        on_events(p->a);
        assert_int_equal(n, 2);
}

/* Many large ones at once: the receiver's limit on unfinished messages is the sender's too, so an honest sender never breaks it. */
static void test_large_ones_are_held_back(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 64 << 10, .max_partial = 128 << 10 };
        struct edge_outgoing outs[20] = { 0 };
        _cleanup_free_ uint8_t *payload = calloc(1, 64 << 10);
        bool seen[20] = { false };
        struct edge_message m;
        struct edge *a, *b;
        int n = 0;

        edges_join(&a, &b, &limits);
        fill(payload, 64 << 10, 9);
        for (uint32_t i = 0; i < N_ELEMENTS(outs); i++) {
                outs[i] = (struct edge_outgoing){ .on_sent = count_sent, .userdata = &n };
                assert_int_equal(edge_send(a, &(struct frame){ .kind = FRAME_CAST, .correlation = i }, payload, 64 << 10, &outs[i]),
                                 EDGE_E_FULL);
        }
        edge_cancel(&outs[5]);
        edge_cancel(&outs[0]);
        for (uint32_t i = 2; i < N_ELEMENTS(outs); i++) {
                take(a, b, &m);
                assert_false(seen[m.frame.correlation]);
                seen[m.frame.correlation] = true;
                assert_filled(&m, 64 << 10, 9);
        }
        assert_false(seen[0] || seen[5]);
        on_events(a);
        assert_int_equal(n, N_ELEMENTS(outs) - 2);
        assert_int_equal(edge_receive(b, &m), EDGE_E_EMPTY);
        assert_true(edge_is_idle(a) && edge_is_idle(b));
        edge_free(a);
        edge_free(b);
}

/* max-partial below max-message would forbid what max-message allows. */
static void test_partial_limit_covers_a_message(void **state) {
        struct edge_limits limits = { .ring_size = RING, .max_message = 64 << 10, .max_partial = 1 };
        struct edge *a, *b;

        edges_join(&a, &b, &limits);
        round_trip(a, b, 64 << 10, 1);
        edge_free(a);
        edge_free(b);
}

static void must_not_be_called(struct edge_outgoing *out, int result) {
        fail_msg("on_sent of a cancelled message");
}

static void test_cancel_before_it_began(void **state) {
        struct pair *p = *state;
        struct edge_outgoing first = { 0 }, out = { .on_sent = must_not_be_called };
        uint8_t payload[2 * RING] = { 0 };
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 1 }, payload, sizeof(payload), &first),
                         EDGE_E_FULL);
        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 2 }, "x", 1, &out), EDGE_E_FULL);
        edge_cancel(&out);
        edge_cancel(&out); /* again: nothing */
        take(p->a, p->b, &m);
        assert_int_equal(m.frame.correlation, 1);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_true(edge_is_idle(p->a));
}

/* What has begun is ended for the peer, which frees its part. */
static void test_cancel_halfway(void **state) {
        struct pair *p = *state;
        struct edge_outgoing out = { .on_sent = must_not_be_called };
        uint8_t payload[2 * RING] = { 0 };
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = 1 }, payload, sizeof(payload), &out),
                         EDGE_E_FULL);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_false(edge_is_idle(p->b));
        edge_cancel(&out);
        memset(payload, 0xff, sizeof(payload)); /* is the caller's again */
        on_events(p->a);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_true(edge_is_idle(p->a));
        assert_true(edge_is_idle(p->b));
        round_trip(p->a, p->b, 5000, 1);
}

/* The cancellation of something whole is a message like others. */
static void test_cancel_of_a_request_is_delivered(void **state) {
        struct pair *p = *state;
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CANCEL, .correlation = 8 }, NULL, 0, NULL), 0);
        assert_int_equal(edge_flush(p->a), 0);
        assert_int_equal(edge_receive(p->b, &m), 0);
        assert_int_equal(m.frame.kind, FRAME_CANCEL);
        assert_int_equal(m.frame.correlation, 8);
}

static void test_nothing_before_flush(void **state) {
        struct pair *p = *state;
        struct edge_message m;

        assert_int_equal(edge_send(p->a, &(struct frame){ .kind = FRAME_CAST }, "x", 1, NULL), 0);
        assert_int_equal(edge_receive(p->b, &m), EDGE_E_EMPTY);
        assert_false(rung(p->b));
        assert_int_equal(edge_flush(p->a), 0);
        assert_true(rung(p->b));
        assert_int_equal(edge_receive(p->b, &m), 0);
}

static void test_take_payload(void **state) {
        static const uint32_t sizes[] = { 0, 1, RECORD_MAX, RECORD_MAX + 1, RING * 3 };
        struct pair *p = *state;

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                _cleanup_free_ uint8_t *payload = calloc(1, sizes[i] + 1), *taken = NULL;
                struct edge_outgoing out = { 0 };
                struct edge_message m, next;

                fill(payload, sizes[i], 5);
                edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = i }, payload, sizes[i], &out);
                edge_flush(p->a);
                take(p->a, p->b, &m);
                taken = edge_message_take(p->b, &m);
                assert_non_null(taken);
                /* outlives what comes next */
                edge_send(p->a, &(struct frame){ .kind = FRAME_CAST }, "zzzz", 4, NULL);
                edge_flush(p->a);
                take(p->a, p->b, &next);
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
        assert_true(rung(p->a));
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

/* Closing tells every queued message; what is told may cancel others and free itself. */
static struct edge_outgoing *others[3];

static void closed_and_cancels_others(struct edge_outgoing *out, int result) {
        assert_int_equal(result, EDGE_E_CLOSED);
        for (size_t i = 0; i < N_ELEMENTS(others); i++) {
                if (others[i] && others[i] != out)
                        edge_cancel(others[i]);
                free(others[i]);
                others[i] = NULL;
        }
}

static void test_free_tells_the_queue(void **state) {
        struct pair *p = *state;
        uint8_t payload[2 * RING] = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(others); i++) {
                others[i] = calloc(1, sizeof(**others));
                others[i]->on_sent = closed_and_cancels_others;
                assert_int_equal(
                        edge_send(p->a, &(struct frame){ .kind = FRAME_CAST, .correlation = i }, payload, sizeof(payload), others[i]),
                        EDGE_E_FULL);
        }
        p->a = edge_free(p->a);
        assert_null(others[0]);
}

static void test_no_descriptor_stays(void **state) {
        unsigned before = count_fds();
        struct edge *a, *b;

        edges_join(&a, &b, &LIMITS);
        /* memory and the reader's end are the peer's now */
        assert_int_equal(count_fds(), before + 4);
        edge_free(a);
        edge_free(b);
        assert_int_equal(count_fds(), before);
        assert_int_equal(edge_new(&a, &LIMITS), 0);
        assert_int_equal(count_fds(), before + 3);
        edge_free(a);
        assert_int_equal(count_fds(), before);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_sizes),
                TEST(test_wrap),
                cmocka_unit_test(test_rings_of_all_sizes),
                cmocka_unit_test(test_nearly_empty_ring_stays_small),
                cmocka_unit_test(test_bursts),
                cmocka_unit_test(test_bad_limits),
                cmocka_unit_test(test_not_attached),
                TEST(test_too_large),
                TEST(test_more_is_not_the_callers),
                TEST(test_full_without_outgoing),
                TEST(test_back_pressure),
                TEST(test_small_passes_large),
                cmocka_unit_test(test_large_ones_are_held_back),
                cmocka_unit_test(test_partial_limit_covers_a_message),
                TEST(test_cancel_before_it_began),
                TEST(test_cancel_halfway),
                TEST(test_cancel_of_a_request_is_delivered),
                TEST(test_nothing_before_flush),
                TEST(test_take_payload),
                TEST(test_accepted_positions),
                TEST(test_peer_gone),
                TEST(test_bells_are_left),
                TEST(test_peer_gone_seen_by_flush),
                TEST(test_where_the_peer_sleeps),
                TEST(test_free_tells_the_queue),
                cmocka_unit_test(test_no_descriptor_stays),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
