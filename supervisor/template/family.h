/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker with `processes = yes` where there are no groups: in a PID namespace
 * of its own, whose end is the end of all that it has started.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/template/raw-clone.h"

struct family {
        int worker, init, helper; /* pidfds of children of the base, -1: there is none; the helper has ended */
};

/* Does this host give such a namespace? Tried in a child. 0 or -errno. */
int family_probe(bool root);

/* As fork() for the worker: its pid, 0 in it, -errno. Then as well what there is of init and helper is for the base to end. */
pid_t family_clone(const struct libc_thread *thread, bool root, int base_pidfd, struct family *ret_family);
