/* SPDX-License-Identifier: Apache-2.0
 *
 * The children that work for no job: one spare that waits for the next package,
 * and those that are done and stopped. Forking the one and ending the others
 * takes longer than unpacking a small package, so both are put off until
 * nothing has been asked for a moment.
 */
#pragma once

#include <poll.h>
#include <stdint.h>

#include "supervisor/installer/child.h"

#define CHILDREN_MAX 4
#define POOL_SOURCES (1 + CHILDREN_MAX)

struct pool {
        struct child_kit kit;
        struct child spare, done[CHILDREN_MAX];
        uint64_t tidy_ns; /* when to do what was put off; 0: nothing was */
};

void pool_init(struct pool *pool);
void pool_deinit(struct pool *pool);

/* A child for an order: the spare, or a new one. 0 or -errno. */
int pool_take(struct pool *pool, struct child *ret_child);
/* Takes back a child that is stopped, or has ended. */
void pool_put(struct pool *pool, struct child *child);
/* Something was asked for: what is put off waits for another moment. */
void pool_touch(struct pool *pool);
/* Does what was put off once it is time. The ms until then, -1: nothing is put off. */
int pool_tidy(struct pool *pool);

/* What to wait for, POOL_SOURCES of them, and what came of it. */
void pool_fill(const struct pool *pool, struct pollfd *fds);
void pool_dispatch(struct pool *pool, const struct pollfd *fds);
