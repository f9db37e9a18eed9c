/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor of every bench that starts workers: a bare clone3 and a dlopen of
 * the module by a small warm process that has the SDK loaded, until the parent
 * has been told. For processes that do nothing else: what goes wrong ends them.
 */
#pragma once

#include <sys/types.h>

#include "supervisor/template/raw-clone.h"

struct floor {
        struct libc_thread thread;
        int told[2]; /* the child's word; the parent keeps both ends, one child lives at a time */
};

void floor_init(struct floor *ret_floor);

/* clone3, into a cgroup when one is given (-1 = none). The pid; 0 in the child, which then calls floor_adopt. */
pid_t floor_clone(const struct floor *floor, int cgroup);
void floor_adopt(const struct floor *floor);

/* The child: loads the module; tells the parent. */
void floor_load(const char *module);
void floor_tell(const struct floor *floor);

/* The parent: waits to be told; kills and reaps the child. */
void floor_wait(const struct floor *floor);
void floor_reap(pid_t pid);

/* All of it once: the time from before the fork until the parent was told, in microseconds. */
double floor_fork(const struct floor *floor, const char *module);

/* What the first touch of a page costs here, in microseconds. Forks are made of it, and virtual machines differ by more than ten
 * times: to be read beside the figures. */
double floor_touch(void);

_Noreturn void floor_die(const char *what);
