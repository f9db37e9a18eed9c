/* SPDX-License-Identifier: Apache-2.0
 *
 * The board. The builder collects items per segment and writes one index; the
 * reader checks everything once when it maps, so that a look-up is a hash probe.
 */
#include "ipc/board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

static uint64_t hash_key(const char *key, size_t size) {
        uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

        while (size--)
                h = (h ^ (uint8_t)*key++) * UINT64_C(0x100000001b3);
        return h;
}

/* Builder ------------------------------------------------------------------------------------------------------------ */

struct item {
        char *key;
        uint32_t segment;
        uint64_t offset, size;
};
struct segment {
        char name[64];
        uint8_t *data;
        uint64_t size, room;
};
struct board_builder {
        uint64_t generation;
        struct segment segments[BOARD_SEGMENTS_MAX];
        uint32_t n_segments;
        struct item *items;
        uint32_t n_items, room;
};

int board_builder_new(struct board_builder **ret_builder, uint64_t generation) {
        struct board_builder *b = calloc(1, sizeof(*b));

        if (!b)
                return -ENOMEM;
        b->generation = generation;
        *ret_builder = b;
        return 0;
}

struct board_builder *board_builder_free(struct board_builder *b) {
        if (!b)
                return NULL;
        for (uint32_t i = 0; i < b->n_segments; i++)
                free(b->segments[i].data);
        for (uint32_t i = 0; i < b->n_items; i++)
                free(b->items[i].key);
        free(b->items);
        free(b);
        return NULL;
}

int board_builder_segment(struct board_builder *b, const char *name) {
        if (b->n_segments == BOARD_SEGMENTS_MAX)
                return -ENOSPC;
        if (!name[0] || strlen(name) >= sizeof(b->segments[0].name))
                return -EINVAL;
        strcpy(b->segments[b->n_segments++].name, name);
        return 0;
}

static bool key_ok(const char *key) {
        size_t n = strlen(key);

        if (!n || n >= BOARD_KEY_MAX)
                return false;
        for (; *key; key++) {
                if ((unsigned char)*key <= 0x20 || *key == 0x7f)
                        return false;
        }
        return true;
}

static int segment_append(struct segment *s, const void *item, size_t size) {
        if (s->size + size > s->room) {
                uint64_t room = MAX(s->room * 2, s->size + size);
                uint8_t *grown = realloc(s->data, room);

                if (!grown)
                        return -ENOMEM;
                s->data = grown;
                s->room = room;
        }
        memcpy(s->data + s->size, item, size);
        s->size += size;
        return 0;
}

int board_builder_add(struct board_builder *b, const char *key, const void *item, size_t size) {
        struct segment *s;
        struct item new = { 0 };
        struct value v;
        int r;

        assert(b->n_segments);
        s = &b->segments[b->n_segments - 1];
        if (!key_ok(key) || value_check(item, size, &v, NULL) < 0)
                return -EINVAL;
        for (uint32_t i = 0; i < b->n_items; i++) {
                if (!strcmp(b->items[i].key, key))
                        return -EEXIST;
        }
        if (b->n_items == b->room) {
                uint32_t room = b->room ? b->room * 2 : 64;
                struct item *grown = realloc(b->items, room * sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                b->items = grown;
                b->room = room;
        }
        new = (struct item){ .segment = b->n_segments, .offset = s->size, .size = size };
        new.key = strdup(key);
        r = new.key ? segment_append(s, item, size) : -ENOMEM;
        if (r < 0) {
                free(new.key);
                return r;
        }
        b->items[b->n_items++] = new;
        return 0;
}

static uint32_t slots_for(uint32_t n_keys) {
        uint32_t n = 16;

        while (n < n_keys * 2)
                n *= 2;
        return n;
}

static void index_fill(const struct board_builder *b, struct board_index *index) {
        struct board_entry *entries = (struct board_entry *)((uint8_t *)index + index->entries_offset);
        char *keys = (char *)index + index->keys_offset;
        uint64_t used = 0;

        for (uint32_t i = 0; i < b->n_items; i++) {
                const struct item *it = &b->items[i];
                size_t n = strlen(it->key);
                uint64_t h = hash_key(it->key, n);
                uint32_t slot = (uint32_t)h & (index->n_slots - 1);

                while (entries[slot].key_size)
                        slot = (slot + 1) & (index->n_slots - 1);
                memcpy(keys + used, it->key, n);
                entries[slot] = (struct board_entry){
                        .hash = h,
                        .key_offset = (uint32_t)(index->keys_offset + used),
                        .key_size = (uint32_t)n,
                        .segment = it->segment,
                        .offset = it->offset,
                        .size = it->size,
                };
                used += n;
        }
}

static int index_build(const struct board_builder *b) {
        uint32_t n_slots = slots_for(b->n_items);
        uint64_t keys = 0, size;
        struct board_index *index;
        int fd;

        for (uint32_t i = 0; i < b->n_items; i++)
                keys += strlen(b->items[i].key);
        size = sizeof(*index) + n_slots * sizeof(struct board_entry) + keys;
        if (size > UINT32_MAX)
                return -E2BIG;
        index = calloc(1, size);
        if (!index)
                return -ENOMEM;
        *index = (struct board_index){
                .magic = BOARD_MAGIC,
                .version = BOARD_VERSION,
                .n_segments = b->n_segments,
                .generation = b->generation,
                .n_slots = n_slots,
                .n_keys = b->n_items,
                .entries_offset = sizeof(*index),
                .keys_offset = sizeof(*index) + n_slots * sizeof(struct board_entry),
        };
        for (uint32_t i = 0; i < b->n_segments; i++) {
                strcpy(index->segments[i].name, b->segments[i].name);
                index->segments[i].size = b->segments[i].size;
        }
        index_fill(b, index);
        fd = memfd_new_const("socle-board", index, size);
        free(index);
        return fd;
}

int board_builder_finish(struct board_builder *b, int ret_fds[BOARD_SEGMENTS_MAX + 1]) {
        int fds[BOARD_SEGMENTS_MAX + 1];
        uint32_t n = 0;

        fds[n] = index_build(b);
        for (n = 1; fds[n - 1] >= 0 && n <= b->n_segments; n++)
                fds[n] = memfd_new_const("socle-board", b->segments[n - 1].data, b->segments[n - 1].size);
        if (fds[n - 1] < 0) {
                int r = fds[n - 1];

                for (uint32_t i = 0; i + 1 < n; i++)
                        fd_close(fds[i]);
                return r;
        }
        memcpy(ret_fds, fds, n * sizeof(*fds));
        return (int)n;
}

/* Reader ------------------------------------------------------------------------------------------------------------- */

struct board {
        const struct board_index *index;
        uint64_t index_size;
        const struct board_entry *entries;
        const uint8_t *segments[BOARD_SEGMENTS_MAX];
        uint64_t sizes[BOARD_SEGMENTS_MAX];
};

struct board *board_close(struct board *board) {
        if (!board)
                return NULL;
        for (uint32_t i = 0; i < BOARD_SEGMENTS_MAX; i++) {
                if (board->segments[i])
                        munmap((void *)(uintptr_t)board->segments[i], board->sizes[i]);
        }
        if (board->index)
                munmap((void *)(uintptr_t)board->index, board->index_size);
        free(board);
        return NULL;
}

static int map_const(int fd, uint64_t *ret_size, const void **ret_map) {
        uint64_t size;
        int r;

        *ret_map = NULL;
        if (memfd_check(fd, MEMFD_SEALS_CONST, 0, UINT64_MAX / 2, &size) < 0)
                return -EPROTO;
        *ret_size = size;
        if (!size)
                return 0;
        r = memfd_map_ro(fd, size, ret_map);
        return r;
}

static bool index_ok(const struct board *b, int n_fds) {
        const struct board_index *x = b->index;
        uint64_t table;

        if (b->index_size < sizeof(*x) || x->magic != BOARD_MAGIC || x->version != BOARD_VERSION)
                return false;
        if (x->n_segments > BOARD_SEGMENTS_MAX || (int)x->n_segments != n_fds - 1)
                return false;
        if (!x->n_slots || (x->n_slots & (x->n_slots - 1)) || x->n_keys > x->n_slots / 2)
                return false;
        table = (uint64_t)x->n_slots * sizeof(struct board_entry);
        if (x->entries_offset % 8 || x->entries_offset > b->index_size || table > b->index_size - x->entries_offset)
                return false;
        for (uint32_t i = 0; i < x->n_segments; i++) {
                if (!memchr(x->segments[i].name, '\0', sizeof(x->segments[i].name)))
                        return false;
        }
        return true;
}

/* Every item is checked here, so that board_get() need not. */
static bool entries_ok(const struct board *b) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < b->index->n_slots; i++) {
                const struct board_entry *e = &b->entries[i];
                struct value v;

                if (!e->key_size)
                        continue;
                n++;
                if (e->key_offset > b->index_size || e->key_size > b->index_size - e->key_offset || e->key_size >= BOARD_KEY_MAX)
                        return false;
                if (e->segment < 1 || e->segment > b->index->n_segments || e->offset > b->sizes[e->segment - 1] ||
                    e->size > b->sizes[e->segment - 1] - e->offset)
                        return false;
                if (!b->segments[e->segment - 1])
                        return false;
                if (value_check(b->segments[e->segment - 1] + e->offset, e->size, &v, NULL) < 0)
                        return false;
        }
        return n == b->index->n_keys;
}

int board_open(struct board **ret_board, const int *fds, int n_fds) {
        struct board *b;
        const void *map;
        int r;

        if (n_fds < 1 || n_fds > BOARD_SEGMENTS_MAX + 1)
                return -EPROTO;
        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        r = map_const(fds[0], &b->index_size, &map);
        b->index = map;
        if (r >= 0 && (!b->index || !index_ok(b, n_fds)))
                r = -EPROTO;
        for (int i = 1; r >= 0 && i < n_fds; i++) {
                r = map_const(fds[i], &b->sizes[i - 1], &map);
                b->segments[i - 1] = map;
        }
        if (r >= 0) {
                b->entries = (const struct board_entry *)((const uint8_t *)b->index + b->index->entries_offset);
                if (!entries_ok(b))
                        r = -EPROTO;
        }
        if (r < 0) {
                board_close(b);
                return r;
        }
        *ret_board = b;
        return 0;
}

void board_narrow(struct board *b, const char *const *granted, size_t n_granted) {
        for (uint32_t i = 0; i < b->index->n_segments; i++) {
                bool keep = false;

                for (size_t k = 0; k < n_granted; k++)
                        keep |= !strcmp(granted[k], "*") || !strcmp(granted[k], b->index->segments[i].name);
                if (keep || !b->segments[i])
                        continue;
                munmap((void *)(uintptr_t)b->segments[i], b->sizes[i]);
                b->segments[i] = NULL;
        }
}

int board_get(const struct board *b, const char *key, struct value *ret_value) {
        size_t n = strlen(key);
        uint64_t h = hash_key(key, n);
        uint32_t mask = b->index->n_slots - 1, slot = (uint32_t)h & mask;

        for (; b->entries[slot].key_size; slot = (slot + 1) & mask) {
                const struct board_entry *e = &b->entries[slot];
                const uint8_t *segment;

                if (e->hash != h || e->key_size != n || memcmp((const char *)b->index + e->key_offset, key, n) != 0)
                        continue;
                segment = b->segments[e->segment - 1];
                if (!segment)
                        return -EACCES;
                *ret_value = (struct value){ segment + e->offset, segment + e->offset + e->size };
                return 0;
        }
        return -ENOENT;
}

uint64_t board_generation(const struct board *b) {
        return b->index->generation;
}
