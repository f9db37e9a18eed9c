/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic's two kinds of memory, each written by its owner alone.
 *
 * The ring of a publisher:
 *   offset 0     magic, version, ring size (read once, at attach)
 *   offset 64    what is there: positions, in bytes ever written
 *   offset 4096  the ring's data, ring_size bytes
 *
 * The ears of a subscriber, one page:
 *   offset 0     magic, version
 *   offset 64    a word for each of its subscriptions
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TOPIC_MAGIC 0x31636970546c6353ull
#define TOPIC_VERSION 1
#define TOPIC_DATA_OFFSET 4096
#define TOPIC_RING_MIN 4096u
#define TOPIC_RING_MAX (1u << 20)

struct topic_memory {
        uint64_t magic;
        uint32_t version;
        uint32_t ring_size; /* power of two */
        uint8_t pad0[48];

        _Atomic uint64_t reserved; /* what lies more than ring_size below may be overwritten at this moment */
        _Atomic uint64_t restart;  /* a record begins here, half a ring below or less: where whoever was overtaken goes on */
        _Atomic uint64_t tail;     /* published */
        uint8_t pad1[40];
};

static_assert(sizeof(struct topic_memory) == 128, "topic layout");
static_assert(offsetof(struct topic_memory, reserved) == 64, "topic layout");

#define EARS_MAGIC 0x3173726145636353ull
#define EARS_VERSION 1
#define EARS_SIZE 4096
#define EARS_MAX 64u /* subscriptions of one instance */

struct ears_memory {
        uint64_t magic;
        uint32_t version, reserved;
        uint8_t pad0[48];

        _Atomic uint32_t armed[EARS_MAX]; /* sequence, odd = the owner wants a bell for this subscription */
};

static_assert(sizeof(struct ears_memory) <= EARS_SIZE, "ears layout");
static_assert(offsetof(struct ears_memory, armed) == 64, "ears layout");
