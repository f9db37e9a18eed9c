/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots in an array that grows. An id is the slot's index in the low 20 bits and
 * a count of all calls ever begun in the rest: 2^44 of them, so none comes back.
 */
#include "ipc/call-table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ipc/cleanup.h"

#define INDEX_BITS 20
#define INDEX_MASK (CALL_TABLE_MAX - 1)
#define NO_SLOT UINT32_MAX
#define SLOTS_MIN 64u

void call_table_init(struct call_table *t) {
        *t = (struct call_table){ .first_free = NO_SLOT };
}

void call_table_deinit(struct call_table *t) {
        free(t->slots);
        call_table_init(t);
}

static void slot_release(struct call_table *t, uint32_t index) {
        t->slots[index].call = NULL;
        t->slots[index].id = 0;
        t->slots[index].next_free = t->first_free;
        t->first_free = index;
}

static int grow(struct call_table *t) {
        uint32_t n = MAX(t->n * 2, SLOTS_MIN);
        struct call_slot *slots;

        if (t->n == CALL_TABLE_MAX)
                return -ENOBUFS;
        slots = reallocarray(t->slots, n, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        t->slots = slots;
        while (n-- > t->n)
                slot_release(t, n);
        t->n = MAX(t->n * 2, SLOTS_MIN);
        return 0;
}

int call_table_add(struct call_table *t, void *call, uint64_t *ret_id) {
        struct call_slot *slot;
        uint32_t index;
        int r;

        if (t->first_free == NO_SLOT) {
                r = grow(t);
                if (r < 0)
                        return r;
        }
        index = t->first_free;
        slot = &t->slots[index];
        t->first_free = slot->next_free;
        slot->call = call;
        slot->id = ++t->uses << INDEX_BITS | index;
        *ret_id = slot->id;
        return 0;
}

void *call_table_find(const struct call_table *t, uint64_t id) {
        uint32_t index = (uint32_t)id & INDEX_MASK;

        if (!id || index >= t->n || t->slots[index].id != id)
                return NULL;
        return t->slots[index].call;
}

void call_table_remove(struct call_table *t, uint64_t id) {
        assert(call_table_find(t, id));
        slot_release(t, (uint32_t)id & INDEX_MASK);
}
