/* SPDX-License-Identifier: Apache-2.0
 *
 * The private table behind correlation ids: an id names a slot and how often the
 * slot was used, so a late or invented id finds nothing.
 */
#pragma once

#include <stdint.h>

#define CALL_TABLE_MAX (1u << 20)

struct call_slot {
        void *call;
        uint64_t id;        /* while it is in use */
        uint32_t next_free; /* index, UINT32_MAX = none */
};

struct call_table {
        struct call_slot *slots;
        uint32_t n, first_free;
        uint64_t uses;
};

void call_table_init(struct call_table *t);
void call_table_deinit(struct call_table *t);
/* 0 and a new id (never 0, never one that was used before), -ENOMEM, -ENOBUFS when CALL_TABLE_MAX are in use. */
int call_table_add(struct call_table *t, void *call, uint64_t *ret_id);
void *call_table_find(const struct call_table *t, uint64_t id);
void call_table_remove(struct call_table *t, uint64_t id);
