/* SPDX-License-Identifier: Apache-2.0
 *
 * Work folders: one per instance, gone with it. What a module left there is
 * removed by a child that sees files as the module's own uid, never as root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes state/work/NAME, mode 0700, owned by uid. Its fd or -errno (-ENOTEMPTY: there is one already that is in use). */
int work_new(int work_fd, const char *name, uid_t uid);

/* Opens a folder that is somebody else's to spoil: also one whose owner may not look into it, who gets that right back. Its fd
 * or -errno. */
int work_open(int parent, const char *name);

enum {
        _WORK_E_SUCCESS,
        WORK_E_FULL, /* not empty: start a cleaner */
};
/* Removes it when it is empty; not there is as good. 0, WORK_E_FULL or -errno. */
int work_remove(int work_fd, const char *name);

/* In a child of the base: files are seen as that uid does, without capabilities over them, and it ends with the base. 0 or
 * -errno. */
int work_narrow(uid_t uid, pid_t base);

/* Forks a child that empties it under uid; *ret_count is shared memory where it counts (work_count_free).
 * The pid, or -errno. */
pid_t work_clean(int work_fd, const char *name, uid_t uid, volatile uint32_t **ret_count);
void work_count_free(volatile uint32_t *count);

/* Removes all folders with this prefix that a predecessor left; waits for it. */
void work_remove_all(int work_fd, const char *prefix, bool root);

/* Empties the open folder as whoever we are; 0 or -errno of the first failure. For the child and the tests. */
int work_empty(int folder, volatile uint32_t *count);
