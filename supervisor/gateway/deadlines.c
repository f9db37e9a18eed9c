/* SPDX-License-Identifier: Apache-2.0
 *
 * A four-ary heap with the places kept in the elements. Most deadlines are moved
 * to a later time again and again and never come due (a connection that is busy,
 * say): then only the wish is stored, and the heap learns of it when the old time
 * comes.
 */
#include "supervisor/gateway/deadlines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ipc/cleanup.h"

#define WIDTH 4u
#define ROOM_MIN 64u

static void place(struct deadlines *d, uint32_t at, struct deadline *deadline) {
        d->heap[at] = deadline;
        deadline->place = at + 1;
}

static void sift_up(struct deadlines *d, uint32_t at, struct deadline *deadline) {
        while (at > 0) {
                uint32_t parent = (at - 1) / WIDTH;

                if (d->heap[parent]->key_ns <= deadline->key_ns)
                        break;
                place(d, at, d->heap[parent]);
                at = parent;
        }
        place(d, at, deadline);
}

static void sift_down(struct deadlines *d, uint32_t at, struct deadline *deadline) {
        for (;;) {
                uint32_t first = at * WIDTH + 1, least = 0;
                uint64_t key = deadline->key_ns;

                for (uint32_t i = first; i < first + WIDTH && i < d->n; i++) {
                        if (d->heap[i]->key_ns < key) {
                                least = i;
                                key = d->heap[i]->key_ns;
                        }
                }
                if (!least)
                        break;
                place(d, at, d->heap[least]);
                at = least;
        }
        place(d, at, deadline);
}

void deadlines_deinit(struct deadlines *d) {
        free(d->heap);
        *d = (struct deadlines){ 0 };
}

int deadline_init(struct deadlines *d, struct deadline *deadline, void (*on_due)(struct deadline *)) {
        if (d->n_owners == d->room) {
                uint32_t room = MAX(d->room * 2, ROOM_MIN);
                struct deadline **heap = reallocarray(d->heap, room, sizeof(*heap));

                if (!heap)
                        return -ENOMEM;
                d->heap = heap;
                d->room = room;
        }
        d->n_owners++;
        *deadline = (struct deadline){ .on_due = on_due, .when_ns = UINT64_MAX };
        return 0;
}

void deadline_deinit(struct deadlines *d, struct deadline *deadline) {
        if (!deadline->on_due)
                return;
        deadline_clear(d, deadline);
        deadline->on_due = NULL;
        d->n_owners--;
}

void deadline_set(struct deadlines *d, struct deadline *deadline, uint64_t when_ns) {
        assert(deadline->on_due && when_ns != UINT64_MAX);
        deadline->when_ns = when_ns;
        if (!deadline->place) {
                deadline->key_ns = when_ns;
                sift_up(d, d->n++, deadline);
        } else if (when_ns < deadline->key_ns) {
                deadline->key_ns = when_ns;
                sift_up(d, deadline->place - 1, deadline);
        }
}

static void heap_remove(struct deadlines *d, struct deadline *deadline) {
        uint32_t at = deadline->place - 1;
        struct deadline *last = d->heap[--d->n];

        deadline->place = 0;
        if (last == deadline)
                return;
        if (at > 0 && d->heap[(at - 1) / WIDTH]->key_ns > last->key_ns)
                sift_up(d, at, last);
        else
                sift_down(d, at, last);
}

void deadline_clear(struct deadlines *d, struct deadline *deadline) {
        deadline->when_ns = UINT64_MAX;
        if (deadline->place)
                heap_remove(d, deadline);
}

uint64_t deadlines_next(const struct deadlines *d) {
        return d->n ? d->heap[0]->key_ns : UINT64_MAX;
}

void deadlines_run(struct deadlines *d, uint64_t now_ns) {
        while (d->n && d->heap[0]->key_ns <= now_ns) {
                struct deadline *first = d->heap[0];

                if (first->when_ns > now_ns) {
                        first->key_ns = first->when_ns;
                        sift_down(d, 0, first);
                        continue;
                }
                deadline_clear(d, first);
                first->on_due(first);
        }
}
