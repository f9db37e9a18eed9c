/* SPDX-License-Identifier: Apache-2.0
 *
 * Work folders: one per instance, gone with it. What a module left there is
 * removed by a child that sees files as the module's own uid, never as root.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct base;
struct job;

/* Makes state/work/NAME, mode 0700, owned by uid. Its fd or -errno (-ENOTEMPTY: there is one already that is in use). */
int work_new(int work_fd, const char *name, uid_t uid);
/* Makes the next one ahead, which then has only to be renamed: to make one may take longer than all else of a worker's birth
 * here. What that fails for, fails then. */
void work_prepare(int work_fd);
/* It will not be needed any more. */
void work_unprepare(int work_fd);

/* Opens a folder that is somebody else's to spoil: also one whose owner may not look into it, who gets that right back. Its fd
 * or -errno. */
int work_open(int parent, const char *name);

enum {
        _WORK_E_SUCCESS,
        WORK_E_FULL, /* not empty: start a cleaner */
};
/* Removes it when it is empty; not there is as good. 0, WORK_E_FULL or -errno. */
int work_remove(int work_fd, const char *name);

/* Has a child empty it under uid, within 30 s. 0 or -errno. */
int work_clean(struct base *base, struct job *job, int work_fd, const char *name, uid_t uid);

/* Removes all folders with this prefix that a predecessor left; waits for it. */
void work_remove_all(struct base *base, int work_fd, const char *prefix);

/* Empties the open folder as whoever we are; 0 or -errno of the first failure. For the child and the tests. */
int work_empty(int folder, uint32_t *count);
