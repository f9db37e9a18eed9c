/* SPDX-License-Identifier: Apache-2.0
 *
 * A server as the sum of its processes: the one that was started and all that
 * descend from it.
 */
#pragma once

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#define TREE_MAX 256

struct tree {
        pid_t pids[TREE_MAX];
        unsigned n;
};

/* Adds this one and who descends from it now. */
void tree_add(struct tree *tree, pid_t root);
/* Every thread of each may run on these CPUs alone. 0 or -errno. */
int tree_pin(const struct tree *tree, const cpu_set_t *cpus);
/* CPU time of all its threads so far, user and system. */
uint64_t tree_cpu_ns(const struct tree *tree);
/* Proportional set size of all. */
uint64_t tree_pss(const struct tree *tree);
