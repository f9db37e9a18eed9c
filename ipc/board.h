/* SPDX-License-Identifier: Apache-2.0
 *
 * The board: the base's state, shared read-only with every worker.
 * The manager builds it (board_builder_*), template and workers map it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/board-layout.h"
#include "ipc/value.h"

struct board_builder;
int board_builder_new(struct board_builder **ret_builder, uint64_t generation);
struct board_builder *board_builder_free(struct board_builder *builder);
/* Begins the segment of one source file. 0, -ENOSPC when there are too many. */
int board_builder_segment(struct board_builder *builder, const char *name);
/* Adds a key to the segment begun last; the value is one msgpack item. 0, -EEXIST, -EINVAL (key's form), -ENOMEM. */
int board_builder_add(struct board_builder *builder, const char *key, const void *item, size_t size);
/* Seals everything: fds[0] is the index, fds[1..] the segments; the caller owns them. The number or -errno. */
int board_builder_finish(struct board_builder *builder, int ret_fds[BOARD_SEGMENTS_MAX + 1]);

struct board;
/* Maps a board from its descriptors (not consumed). 0, -errno, -EPROTO. */
int board_open(struct board **ret_board, const int *fds, int n_fds);
struct board *board_close(struct board *board);
/* Unmaps every segment whose name is not in `granted` (n names; "*" = all). */
void board_narrow(struct board *board, const char *const *granted, size_t n_granted);
/* A hash probe: no system call, no copy. 0, -ENOENT no such key, -EACCES its segment is not granted. */
int board_get(const struct board *board, const char *key, struct value *ret_value);
uint64_t board_generation(const struct board *board);
