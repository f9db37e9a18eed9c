/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing to a ring what no honest writer would.
 */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ipc/shared.h"
#include "liar.h"

#define ALIGNED(n) (((n) + 15) & ~UINT64_C(15))

/* The length stands as it was given; 0: the true one. Never split. */
void raw_put(struct edge *edge, struct frame frame, const void *payload, uint32_t size) {
        uint64_t ring = edge->limits.ring_size, need = ALIGNED((uint64_t)FRAME_SIZE + size), to_end = ring - (edge->tail & (ring - 1));

        if (need > to_end) {
                const struct frame pad = { .length = (uint32_t)to_end, .kind = FRAME_PAD };

                memcpy(edge->own_data + (edge->tail & (ring - 1)), &pad, to_end < FRAME_SIZE ? to_end : FRAME_SIZE);
                edge->tail += to_end;
        }
        if (!frame.length)
                frame.length = FRAME_SIZE + size;
        memcpy(edge->own_data + (edge->tail & (ring - 1)), &frame, FRAME_SIZE);
        if (size)
                memcpy(edge->own_data + (edge->tail & (ring - 1)) + FRAME_SIZE, payload, size);
        edge->tail += need;
}

void raw_ring(struct edge *edge) {
        if (write(edge->bell_write, "", 1) < 0)
                return; /* full, or nobody listens */
}

void raw_tail(struct edge *edge, uint64_t tail) {
        shared_store64(&edge->own->tail, tail);
        raw_ring(edge);
}

void raw_publish(struct edge *edge) {
        edge->published = edge->tail;
        raw_tail(edge, edge->tail);
}

/* False: the other end takes nothing any more. */
bool raw_wait_for_room(struct edge *edge, uint32_t size) {
        uint64_t need = 2 * ALIGNED((uint64_t)FRAME_SIZE + size), end = now_ms() + 300;

        while (edge->limits.ring_size - (edge->tail - shared_load64(&edge->peer->head)) < need) {
                struct pollfd p = { .fd = edge->wait_fd }; /* the other end of our own bell we have kept */

                if (now_ms() > end || (poll(&p, 1, 0) > 0 && p.revents & POLLHUP))
                        return false;
                sleep_ms(1);
                raw_ring(edge);
        }
        return true;
}

uint64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sleep_ms(uint32_t ms) {
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}
