/* SPDX-License-Identifier: Apache-2.0
 *
 * A condition is a queue of coroutines that wait, and remembers nothing: who is
 * woken looks for himself whether what he waits for is so. That loses nothing, for
 * all coroutines share one thread: between a look and the wait no other one runs.
 *
 * Whoever is woken is resumed by the loop, so that who wakes goes on undisturbed,
 * also in the middle of a turn. From then on he has been woken, whatever passes
 * meanwhile: a signal that went to one whose time was over would wake nobody.
 */
#include "libmodule/condition.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "libmodule/task.h"
#include "libmodule/worker-internal.h"

struct waiter {
        TAILQ_ENTRY(waiter) entry; /* of the condition's, then of those that were woken */
        struct socle_condition *condition;
        struct deadline deadline;
        struct coroutine *co;
        struct task *task;
        int result;
};

TAILQ_HEAD(waiter_list, waiter);

struct socle_condition {
        struct waiter_list waiters; /* the longest first */
};

static struct waiter_list woken = TAILQ_HEAD_INITIALIZER(woken);

struct socle_condition *socle_condition_new(void) {
        struct socle_condition *c = malloc(sizeof(*c));

        if (c)
                TAILQ_INIT(&c->waiters);
        return c;
}

static void waiter_leave(struct waiter *w) {
        TAILQ_REMOVE(&w->condition->waiters, w, entry);
        deadline_deinit(wait_deadlines(), &w->deadline);
        if (w->task)
                w->task->sleep = NULL;
}

static void waiter_wake(struct waiter *w, int result) {
        waiter_leave(w);
        w->result = result;
        TAILQ_INSERT_TAIL(&woken, w, entry);
}

/* Its time is over, or nobody waits for the request any more. */
static void on_due(struct deadline *deadline) {
        struct waiter *w = (struct waiter *)((char *)deadline - offsetof(struct waiter, deadline));

        waiter_leave(w);
        w->result = w->task && w->task->cancelled ? ERROR_CANCELLED : ERROR_TIMEOUT;
        worker_resume(w->co);
}

struct socle_condition *socle_condition_free(struct socle_condition *c) {
        struct waiter *w;

        if (!c)
                return NULL;
        while ((w = TAILQ_FIRST(&c->waiters)))
                waiter_wake(w, -EIDRM);
        free(c);
        return NULL;
}

static int explain(int r) {
        if (r == ERROR_CANCELLED)
                return task_fail(r, "the request that waits was cancelled");
        return r > 0 ? task_fail(r, "what was waited for has not come in time") : r;
}

int socle_condition_wait(struct socle_condition *c, int64_t timeout_ms) {
        struct waiter me = { .condition = c, .co = worker_is_this_thread() ? coroutine_self() : NULL };
        uint64_t until_ns;
        int r;

        if (!me.co)
                return -EDEADLK;
        if (!c)
                return -EINVAL;
        r = deadline_init(wait_deadlines(), &me.deadline, on_due);
        if (r < 0)
                return r;
        me.task = task_self();
        until_ns = wait_until_ns(me.task, timeout_ms);
        if (until_ns != UINT64_MAX)
                deadline_set(wait_deadlines(), &me.deadline, until_ns);
        if (me.task)
                me.task->sleep = &me.deadline;
        TAILQ_INSERT_TAIL(&c->waiters, &me, entry);
        coroutine_suspend();
        return explain(me.result);
}

int socle_condition_signal(struct socle_condition *c) {
        if (!worker_is_this_thread())
                return -EDEADLK;
        if (!c)
                return -EINVAL;
        if (!TAILQ_EMPTY(&c->waiters))
                waiter_wake(TAILQ_FIRST(&c->waiters), 0);
        return 0;
}

int socle_condition_broadcast(struct socle_condition *c) {
        if (!worker_is_this_thread())
                return -EDEADLK;
        if (!c)
                return -EINVAL;
        while (!TAILQ_EMPTY(&c->waiters))
                waiter_wake(TAILQ_FIRST(&c->waiters), 0);
        return 0;
}

/* The loop ----------------------------------------------------------------------------------------------------------- */

void conditions_turn(void) {
        struct waiter *w, *last = TAILQ_LAST(&woken, waiter_list);

        /* Who is woken while others are resumed is for the next turn. */
        while (last && (w = TAILQ_FIRST(&woken))) {
                TAILQ_REMOVE(&woken, w, entry);
                if (w == last)
                        last = NULL;
                worker_resume(w->co);
        }
}

bool conditions_due(void) {
        return !TAILQ_EMPTY(&woken);
}
