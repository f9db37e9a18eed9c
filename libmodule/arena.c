/* SPDX-License-Identifier: Apache-2.0
 *
 * Arenas: blocks in a list, freed together.
 */
#include "libmodule/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 992u /* with its head the most that malloc() keeps at hand (1,032 bytes): what is larger it parts and joins each time */

struct arena_block {
        struct arena_block *next;
        size_t used, size;
        _Alignas(max_align_t) unsigned char data[];
};

void *arena_alloc(struct arena *arena, size_t size) {
        struct arena_block *b = arena->blocks;
        void *p;

        if (size > SIZE_MAX / 4)
                return NULL;
        size = (size + 15) & ~(size_t)15;
        if (!b || size > b->size - b->used) {
                size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

                b = malloc(sizeof(*b) + room);
                if (!b)
                        return NULL;
                b->next = arena->blocks;
                b->used = 0;
                b->size = room;
                arena->blocks = b;
        }
        p = b->data + b->used;
        b->used += size;
        return p;
}

char *arena_text(struct arena *arena, const char *text, size_t size) {
        char *copy = size < SIZE_MAX ? arena_alloc(arena, size + 1) : NULL;

        if (!copy)
                return NULL;
        memcpy(copy, text, size);
        copy[size] = '\0';
        return copy;
}

void arena_deinit(struct arena *arena) {
        struct arena_block *b;

        while ((b = arena->blocks)) {
                arena->blocks = b->next;
                free(b);
        }
}
