/* SPDX-License-Identifier: Apache-2.0
 *
 * A four-ary heap with the places kept in the elements. Most deadlines are moved
 * to a later time again and again and never come due (a connection that is busy,
 * say): then only the wish is stored, and the heap learns of it when the old time
 * comes.
 */
#include "ipc/deadlines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ipc/cleanup.h"

#define WIDTH 4u
#define ROOM_MIN 64u

static void place(struct deadlines *d, uint32_t at, struct deadline_entry entry) {
        d->heap[at] = entry;
        entry.deadline->place = at + 1;
}

static void sift_up(struct deadlines *d, uint32_t at, struct deadline_entry entry) {
        while (at > 0) {
                uint32_t parent = (at - 1) / WIDTH;

                if (d->heap[parent].key_ns <= entry.key_ns)
                        break;
                place(d, at, d->heap[parent]);
                at = parent;
        }
        place(d, at, entry);
}

static void sift_down(struct deadlines *d, uint32_t at, struct deadline_entry entry) {
        for (;;) {
                uint32_t first = at * WIDTH + 1, least = 0;
                uint64_t key = entry.key_ns;

                for (uint32_t i = first; i < first + WIDTH && i < d->n; i++) {
                        if (d->heap[i].key_ns < key) {
                                least = i;
                                key = d->heap[i].key_ns;
                        }
                }
                if (!least)
                        break;
                place(d, at, d->heap[least]);
                at = least;
        }
        place(d, at, entry);
}

void deadlines_deinit(struct deadlines *d) {
        free(d->heap);
        *d = (struct deadlines){ 0 };
}

int deadline_init(struct deadlines *d, struct deadline *deadline, void (*on_due)(struct deadline *)) {
        if (d->n_owners == d->room) {
                uint32_t room = MAX(d->room * 2, ROOM_MIN);
                struct deadline_entry *heap = reallocarray(d->heap, room, sizeof(*heap));

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
        struct deadline_entry entry = { when_ns, deadline };

        assert(deadline->on_due && when_ns != UINT64_MAX);
        deadline->when_ns = when_ns;
        if (!deadline->place)
                sift_up(d, d->n++, entry);
        else if (when_ns < d->heap[deadline->place - 1].key_ns)
                sift_up(d, deadline->place - 1, entry);
}

static void heap_remove(struct deadlines *d, struct deadline *deadline) {
        struct deadline_entry last = d->heap[--d->n];
        uint32_t at = deadline->place - 1;

        deadline->place = 0;
        if (last.deadline == deadline)
                return;
        if (at > 0 && d->heap[(at - 1) / WIDTH].key_ns > last.key_ns)
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
        return d->n ? d->heap[0].key_ns : UINT64_MAX;
}

void deadlines_run(struct deadlines *d, uint64_t now_ns) {
        while (d->n && d->heap[0].key_ns <= now_ns) {
                struct deadline *first = d->heap[0].deadline;

                if (first->when_ns > now_ns) {
                        sift_down(d, 0, (struct deadline_entry){ first->when_ns, first });
                        continue;
                }
                deadline_clear(d, first);
                first->on_due(first);
        }
}
