/* SPDX-License-Identifier: Apache-2.0
 *
 * One side's memory of an edge: written by its owner alone, read by the peer.
 * Page 0 holds the owner's words, the ring's data follows.
 *
 *   offset 0     magic, version, ring size (read once, at attach)
 *   offset 64    tail: bytes published on the owner's outgoing ring
 *   offset 128   the owner's state as consumer of the peer's ring
 *   offset 192   waiting: sequence, odd while the owner waits for room in its outgoing ring
 *   offset 4096  the ring's data, ring_size bytes
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define EDGE_MAGIC 0x31656764456c6353ull
#define EDGE_VERSION 1
#define EDGE_DATA_OFFSET 4096
#define EDGE_RING_MIN 4096u
#define EDGE_RING_MAX (16u << 20)

struct edge_side {
        uint64_t magic;
        uint32_t version;
        uint32_t ring_size; /* power of two */
        uint8_t pad0[48];

        _Atomic uint64_t tail;
        uint8_t pad1[56];

        _Atomic uint64_t head;     /* credit: bytes of the peer's ring that were consumed */
        _Atomic uint64_t accepted; /* position up to which requests have been begun */
        _Atomic uint32_t armed;    /* sequence, odd = the owner sleeps and wants its bell rung */
        _Atomic uint32_t cpu;      /* 1 + where the owner ran when it armed last; 0: not known. A hint */
        uint8_t pad2[40];

        _Atomic uint32_t waiting; /* sequence, odd = the owner wants its bell rung for credit */
        uint8_t pad3[60];
};

static_assert(sizeof(struct edge_side) == 256, "edge layout");
static_assert(offsetof(struct edge_side, tail) == 64, "edge layout");
static_assert(offsetof(struct edge_side, head) == 128, "edge layout");
static_assert(offsetof(struct edge_side, cpu) == 148, "edge layout");
static_assert(offsetof(struct edge_side, waiting) == 192, "edge layout");
