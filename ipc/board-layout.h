/* SPDX-License-Identifier: Apache-2.0
 *
 * The board's index segment: an open-addressed hash table of keys, whose values
 * (msgpack items) lie in the segments, one sealed memfd per source file.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define BOARD_MAGIC 0x3164726f61426353ull
#define BOARD_VERSION 1
#define BOARD_SEGMENTS_MAX 64
#define BOARD_KEY_MAX 128

struct board_entry {
        uint64_t hash;       /* FNV-1a of the key; 0 with key_size 0 = empty */
        uint32_t key_offset; /* in the index segment */
        uint32_t key_size;
        uint32_t segment; /* number, 1... (0 is the index) */
        uint32_t reserved;
        uint64_t offset, size; /* in the segment */
};

struct board_segment_info {
        char name[64]; /* source file without its ending: the unit of granting */
        uint64_t size;
};

struct board_index {
        uint64_t magic;
        uint32_t version, n_segments;
        uint64_t generation;
        uint32_t n_slots; /* power of two, at least twice the keys */
        uint32_t n_keys;
        uint64_t keys_offset; /* text of the keys */
        uint64_t entries_offset;
        struct board_segment_info segments[BOARD_SEGMENTS_MAX];
};

static_assert(sizeof(struct board_entry) == 40, "board layout");
