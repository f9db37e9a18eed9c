/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that lives as long as a request (or as the worker).
 */
#pragma once

#include <stddef.h>

struct arena {
        struct arena_block *blocks;
};

/* Aligned for anything; NULL: out of memory. */
void *arena_alloc(struct arena *arena, size_t size);
/* A terminated copy. */
char *arena_text(struct arena *arena, const char *text, size_t size);
void arena_deinit(struct arena *arena);
