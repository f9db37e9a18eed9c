/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"

#define TURNS_MAX 100000

int pair_setup(void **state) {
        static struct pair p;

        edges_join(&p.a, &p.b, &PAIR_LIMITS);
        *state = &p;
        return 0;
}

int pair_teardown(void **state) {
        struct pair *p = *state;

        p->a = edge_free(p->a);
        p->b = edge_free(p->b);
        return 0;
}

bool pair_rung(const struct edge *edge) {
        struct pollfd p = { .fd = edge_wait_fd(edge), .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}

void pair_on_events(struct edge *edge) {
        if (pair_rung(edge))
                edge_on_bell(edge);
}

void pair_fill(uint8_t *data, uint32_t size, uint32_t seed) {
        for (uint32_t i = 0; i < size; i++)
                data[i] = (uint8_t)(seed + i * 31 + (i >> 8) * 7);
}

void pair_assert_filled(const struct edge_message *m, uint32_t size, uint32_t seed) {
        _cleanup_free_ uint8_t *expected = calloc(1, size + 1);

        pair_fill(expected, size, seed);
        assert_int_equal(m->size, size);
        if (size)
                assert_memory_equal(m->payload, expected, size);
}

void pair_count_sent(struct edge_outgoing *out, int result) {
        int *n = out->userdata;

        assert_int_equal(result, 0);
        ++*n;
}

void pair_take(struct edge *from, struct edge *to, struct edge_message *ret) {
        for (int i = 0; i < TURNS_MAX; i++) {
                int r;

                pair_on_events(to);
                r = edge_receive(to, ret);
                if (!r)
                        return;
                assert_int_equal(r, EDGE_E_EMPTY);
                if (edge_arm(to) && !pair_rung(from) && !pair_rung(to))
                        fail_msg("both sleep and the message has not come");
                pair_on_events(from);
        }
        fail_msg("the message does not come");
}

void pair_round_trip(struct edge *from, struct edge *to, uint32_t size, uint32_t seed) {
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
        struct edge_outgoing out = { .on_sent = pair_count_sent };
        struct edge_message m;
        int n = 0, r;

        out.userdata = &n;
        memcpy(frame.trace, "0123456789abcdef", 16);
        pair_fill(payload, size, seed);
        r = edge_send(from, &frame, payload, size, &out);
        assert_true(r == 0 || r == EDGE_E_FULL);
        assert_int_equal(edge_flush(from), 0);
        pair_take(from, to, &m);
        assert_int_equal(n, r == EDGE_E_FULL);
        pair_assert_filled(&m, size, seed);
        /* The length is the record's; all else arrives as it was. */
        m.frame.length = 0;
        assert_memory_equal(&m.frame, &frame, sizeof(frame));
}
