/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a topic's two sides, for the files that they are made of and for
 * who runs these without the kernel. All of it is private memory but the words
 * and the data behind the pointers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/topic-layout.h"
#include "ipc/topic.h"

#define TOPIC_ALIGNED(n) (((n) + 15u) & ~(uint64_t)15) /* records are */
#define TOPIC_WORDS(n) ((n) / sizeof(uint64_t))

struct topic_writer {
        struct topic_memory *memory;
        _Atomic uint64_t *data;
        uint64_t size;
        int fd;
        uint64_t tail, restart, number;
};

struct topic_listener {
        const struct ears_memory *ears;
        uint32_t slot, rung;
        int bell_read, bell_write;
};

struct topic_reader {
        const struct topic_memory *memory;
        const _Atomic uint64_t *data;
        uint64_t size, map_size;
        int bell;
        enum violation poison; /* why it was */
        bool hung_up, ended;
        uint64_t cursor, number; /* of the next message */
        uint64_t marked;         /* where the last number was known */
        uint64_t tail, reserved; /* as they were last seen */
        uint64_t *scratch;
};

struct ears {
        struct ears_memory *memory;
        uint32_t armed[EARS_MAX];
        int fd;
};
