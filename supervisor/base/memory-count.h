/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory a worker shares with nobody although it is mapped to be shared
 * (MAP_SHARED with MAP_ANONYMOUS, memory files): no resource limit counts it. For
 * the child that counts (disk.c), where there is no controller, and the tests.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Of what /proc/PID/smaps_rollup says. Pure. */
uint64_t memory_count_find(const char *rollup);
/* Bytes, when the kernel tells; where they are more than limit, without what it can only read: a peer's. 0 or -errno. */
int memory_count_shared(pid_t pid, uint64_t limit, uint64_t *ret_size);
