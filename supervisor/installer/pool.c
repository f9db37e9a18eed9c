/* SPDX-License-Identifier: Apache-2.0
 *
 * The spare is pool's own until it is taken; a slot of done[] is free when its
 * pidfd is -1. There are never more children than CHILDREN_MAX with a job or
 * stopped, so a slot is there for each.
 */
#include "supervisor/installer/pool.h"

#include <string.h>
#include <sys/pidfd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"

/* Longer than the rest of a deployment, which the fork would slow down. */
#define REST_MS 20

void pool_init(struct pool *pool) {
        *pool = (struct pool){ .kit = { .null_fd = -1, .packages = -1 }, .spare = CHILD_NONE };
        for (size_t i = 0; i < N_ELEMENTS(pool->done); i++)
                pool->done[i] = CHILD_NONE;
}

static void done_end(struct pool *pool) {
        for (size_t i = 0; i < N_ELEMENTS(pool->done); i++)
                child_end(&pool->done[i], &pool->kit);
}

void pool_deinit(struct pool *pool) {
        child_end(&pool->spare, &pool->kit);
        done_end(pool);
        sandbox_deinit(&pool->kit.sandbox);
}

int pool_take(struct pool *pool, struct child *ret_child) {
        if (pool->spare.pidfd < 0)
                return child_start(ret_child, &pool->kit, false);
        *ret_child = pool->spare;
        pool->spare = CHILD_NONE;
        return 0;
}

void pool_put(struct pool *pool, struct child *child) {
        for (size_t i = 0; i < N_ELEMENTS(pool->done); i++) {
                if (pool->done[i].pidfd >= 0)
                        continue;
                pool->done[i] = *child;
                *child = CHILD_NONE;
                return;
        }
        child_end(child, &pool->kit);
}

void pool_touch(struct pool *pool) {
        pool->tidy_ns = clock_now_ns() + REST_MS * NS_PER_MS;
}

int pool_tidy(struct pool *pool) {
        uint64_t now;
        int r;

        if (!pool->tidy_ns)
                return -1;
        now = clock_now_ns();
        if (now < pool->tidy_ns)
                return (int)((pool->tidy_ns - now) / NS_PER_MS) + 1;
        pool->tidy_ns = 0;
        done_end(pool);
        if (pool->spare.pidfd >= 0)
                return -1;
        r = child_start(&pool->spare, &pool->kit, true);
        if (r)
                log_warning("no process can be held ready for the next package: %s", strerror(-r));
        return -1;
}

void pool_fill(const struct pool *pool, struct pollfd *fds) {
        fds[0] = (struct pollfd){ .fd = pool->spare.pidfd, .events = POLLIN };
        for (size_t i = 0; i < N_ELEMENTS(pool->done); i++)
                fds[1 + i] = (struct pollfd){ .fd = pool->done[i].pidfd, .events = POLLIN };
}

void pool_dispatch(struct pool *pool, const struct pollfd *fds) {
        siginfo_t info;

        /* A spare that somebody has killed is made again with the next package, not at once: it may go on. */
        if (fds[0].revents)
                child_reap(&pool->spare, &pool->kit, &info);
        for (size_t i = 0; i < N_ELEMENTS(pool->done); i++)
                if (fds[1 + i].revents)
                        child_reap(&pool->done[i], &pool->kit, &info);
}
