/* SPDX-License-Identifier: Apache-2.0
 *
 * How much a worker keeps on disk: what lies in its folders, and what it has
 * deleted and still holds open. For the child that counts (disk.c), and the tests.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define DISK_ENTRY_SIZE 4096 /* an entry takes so much at least, were it empty */
#define DISK_DEPTH_MAX 256   /* folders in folders */

struct disk_count {
        uint64_t limit; /* counting ends when it has found more */
        uint64_t size, n_entries;
};

/* What lies in the open folder, by its own account. 0; -ENAMETOOLONG: folders in folders without end; or -errno. */
int disk_count_folder(int folder, struct disk_count *count);
/* Files on that file system that the process has open and that have no name any more. 0 or -errno. */
int disk_count_deleted(pid_t pid, dev_t device, struct disk_count *count);
