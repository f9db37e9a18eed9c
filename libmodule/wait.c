/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting without stopping the worker: coroutines that sleep and calls that wait
 * have a deadline, and the first of them gives the loop its timeout; blocking work runs in a few threads
 * that come when there is work and go when there is none, so that an idle worker
 * has nobody who could wake.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "libmodule/worker-internal.h"

#define THREADS_MAX 4
#define CANCELLED_SLEEP_MS 1

/* Sleeping ----------------------------------------------------------------------------------------------------------- */

struct sleeper {
        struct deadline deadline;
        struct coroutine *co;
};

static struct deadlines times;

struct deadlines *wait_deadlines(void) {
        return &times;
}

static void on_due(struct deadline *deadline) {
        struct sleeper *s = (struct sleeper *)((char *)deadline - offsetof(struct sleeper, deadline));

        deadline_deinit(&times, deadline);
        worker_resume(s->co);
}

/* A loop that looks for something and sleeps would never let the others run again if a cancelled request did not sleep at all. */
uint64_t wait_until_ns(const struct task *task, int64_t ms) {
        if (task && task->cancelled)
                ms = MIN(ms, CANCELLED_SLEEP_MS);
        return ms < INT64_MAX / (int64_t)NS_PER_MS ? clock_now_ns() + (uint64_t)MAX(ms, 0) * NS_PER_MS : UINT64_MAX;
}

int socle_sleep(uint32_t ms) {
        struct sleeper me = { .co = worker_is_this_thread() ? coroutine_self() : NULL };
        struct task *task;
        int r;

        if (!me.co)
                return -EDEADLK;
        r = deadline_init(&times, &me.deadline, on_due);
        if (r < 0)
                return r;
        task = task_self();
        deadline_set(&times, &me.deadline, wait_until_ns(task, ms));
        if (task)
                task->sleep = &me.deadline;
        coroutine_suspend();
        if (task)
                task->sleep = NULL;
        return task && task->cancelled ? task_fail(SOCLE_E_CANCELLED, "the request that sleeps was cancelled") : 0;
}

int wait_timeout_ms(void) {
        uint64_t next = deadlines_next(&times), now, left;

        if (next == UINT64_MAX)
                return -1;
        now = clock_now_ns();
        /* rounded up: not a turn too early */
        left = next <= now ? 0 : (next - now + NS_PER_MS - 1) / NS_PER_MS;
        return left > INT_MAX ? INT_MAX : (int)left;
}

void wait_turn(void) {
        if (deadlines_next(&times) != UINT64_MAX)
                deadlines_run(&times, clock_now_ns());
}

/* Offloading --------------------------------------------------------------------------------------------------------- */

struct job {
        struct job *next;
        struct coroutine *co;
        void (*fn)(void *);
        void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct job *todo, **todo_end = &todo, *done;
static unsigned n_threads;
static int done_pipe[2] = { -1, -1 };
static atomic_bool told_ready;

int wait_init(void) {
        return pipe2(done_pipe, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

int wait_offload_fd(void) {
        return done_pipe[0];
}

static void *thread_main(void *unused) {
        struct job *job;

        pthread_mutex_lock(&lock);
        while ((job = todo)) {
                todo = job->next;
                if (!todo)
                        todo_end = &todo;
                pthread_mutex_unlock(&lock);
                job->fn(job->arg);
                pthread_mutex_lock(&lock);
                job->next = done;
                done = job;
                if (write(done_pipe[1], "", 1) < 0)
                        continue; /* full: the loop has been told often enough */
        }
        n_threads--;
        pthread_mutex_unlock(&lock);
        return NULL;
}

static int thread_start(void) {
        sigset_t all, before;
        pthread_t thread;
        int r;

        /* Signals are the main thread's. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&thread, NULL, thread_main, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r == 0)
                pthread_detach(thread);
        return -r;
}

int socle_offload(void (*fn)(void *), void *arg) {
        struct job job = { .co = worker_is_this_thread() ? coroutine_self() : NULL, .fn = fn, .arg = arg };
        bool another;
        int r = 0;

        if (!job.co)
                return -EDEADLK;
        pthread_mutex_lock(&lock);
        another = n_threads < THREADS_MAX;
        if (another) {
                n_threads++;
                r = thread_start();
                if (r < 0)
                        n_threads--;
        }
        if (r < 0 && !n_threads) {
                pthread_mutex_unlock(&lock);
                return r;
        }
        *todo_end = &job;
        todo_end = &job.next;
        pthread_mutex_unlock(&lock);
        coroutine_suspend();
        return 0;
}

void wait_tell_ready(void) {
        atomic_store(&told_ready, true);
        if (write(done_pipe[1], "", 1) < 0)
                return; /* full: the loop has been told often enough */
}

void wait_on_offloaded(void) {
        struct job *list;
        char bytes[64];

        while (read(done_pipe[0], bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
                ;
        if (atomic_exchange(&told_ready, false))
                module_ready();
        pthread_mutex_lock(&lock);
        list = done;
        done = NULL;
        pthread_mutex_unlock(&lock);
        while (list) {
                struct job *job = list;

                list = job->next;
                worker_resume(job->co);
        }
}
