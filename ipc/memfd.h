/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed memory files: how memory is given to somebody who is not trusted.
 * The owner maps the memory writable first and then seals it, so that nobody,
 * the owner included, can map it writable again or change its size.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>

/* What every piece of bus memory carries: one writer for ever, one size for ever. */
#define MEMFD_SEALS_BUS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)
/* What immutable data carries (packages, board segments, settings). */
#define MEMFD_SEALS_CONST (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* Creates an unsealed memory file of `size` bytes; `name` shows in /proc. The fd or -errno. */
int memfd_new(const char *name, uint64_t size);

/* Creates an immutable memory file that holds a copy of data. The fd or -errno. */
int memfd_new_const(const char *name, const void *data, uint64_t size);

/* Bus memory: mapped for its one writer and sealed, its first n_committed bytes charged now. The fd or -errno. */
int memfd_new_bus(const char *name, uint64_t size, uint64_t n_committed, void **ret_map);
/* A reader's view of bus memory of that size which begins with a magic word and a version (of 32 bits). 0; -EPROTO: it is
 * something else; or -errno. */
int memfd_map_bus(int fd, uint64_t size, uint64_t magic, uint32_t version, const void **ret_map);

/* Has its first bytes charged now, so that touching them cannot fail later. 0 or -errno. */
int memfd_commit(int fd, uint64_t size);

/* Adds the seals. 0 or -errno. */
int memfd_seal(int fd, int seals);

/* Checks a memory file from a distrusted peer: it is on tmpfs, its seals are exactly `seals` (and F_SEAL_EXEC or not:
 * vm.memfd_noexec decides for whoever does not, and it takes nothing from a reader), its size lies in [min_size, max_size]. 0 and the size; -EPERM wrong seals; -EMSGSIZE wrong size;
 * -EBADF not a memory file of tmpfs (a hugetlb memfd has seals too). */
int memfd_check(int fd, int seals, uint64_t min_size, uint64_t max_size, uint64_t *ret_size);

/* Maps all of it, shared: writable before sealing (memfd_map_rw), read-only for everybody else.
 * 0 or -errno; unmap with munmap(map, size). */
int memfd_map_rw(int fd, uint64_t size, void **ret_map);
int memfd_map_ro(int fd, uint64_t size, const void **ret_map);
