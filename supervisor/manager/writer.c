/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread, one queue each way, one eventfd back. The thread is made with the
 * first job and sleeps on a condition between jobs. Order is a promise: a job
 * that ends the wait for a reply stands behind what the reply is about.
 */
#include "supervisor/manager/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "ipc/cleanup.h"

TAILQ_HEAD(job_queue, job);

struct writer {
        pthread_mutex_t lock;
        pthread_cond_t filled;
        pthread_t thread;
        struct job_queue todo, done; /* under the lock */
        bool ending;                 /* likewise */
        bool running;                /* the loop's own: is there a thread, how many jobs has it */
        unsigned n_jobs;
        int bell;
        struct event *event;
        void (*on_idle)(void *userdata);
        void *userdata;
};

static struct job *next_job(struct writer *w) {
        struct job *job;

        pthread_mutex_lock(&w->lock);
        while (!w->ending && TAILQ_EMPTY(&w->todo))
                pthread_cond_wait(&w->filled, &w->lock);
        job = w->ending ? NULL : TAILQ_FIRST(&w->todo);
        if (job)
                TAILQ_REMOVE(&w->todo, job, entry);
        pthread_mutex_unlock(&w->lock);
        return job;
}

static void *run(void *userdata) {
        struct writer *w = userdata;
        struct job *job;

        while ((job = next_job(w))) {
                job->result = job->run(job);
                pthread_mutex_lock(&w->lock);
                TAILQ_INSERT_TAIL(&w->done, job, entry);
                pthread_mutex_unlock(&w->lock);
                eventfd_write(w->bell, 1);
        }
        return NULL;
}

static void on_bell(evutil_socket_t fd, short what, void *userdata) {
        struct job_queue done = TAILQ_HEAD_INITIALIZER(done);
        struct writer *w = userdata;
        eventfd_t rung;
        struct job *job;

        eventfd_read(w->bell, &rung);
        pthread_mutex_lock(&w->lock);
        TAILQ_CONCAT(&done, &w->done, entry);
        pthread_mutex_unlock(&w->lock);
        while ((job = TAILQ_FIRST(&done))) {
                TAILQ_REMOVE(&done, job, entry);
                w->n_jobs--;
                job->done(job, job->result);
        }
        if (!w->n_jobs)
                w->on_idle(w->userdata);
}

int writer_new(struct event_base *loop, void (*on_idle)(void *userdata), void *userdata, struct writer **ret_writer) {
        struct writer *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->filled, NULL);
        TAILQ_INIT(&w->todo);
        TAILQ_INIT(&w->done);
        w->on_idle = on_idle;
        w->userdata = userdata;
        w->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        w->event = w->bell < 0 ? NULL : event_new(loop, w->bell, EV_READ | EV_PERSIST, on_bell, w);
        if (!w->event || event_add(w->event, NULL) < 0) {
                writer_free(w);
                return -ENOMEM;
        }
        *ret_writer = w;
        return 0;
}

struct writer *writer_free(struct writer *w) {
        if (!w)
                return NULL;
        pthread_mutex_lock(&w->lock);
        w->ending = true;
        pthread_cond_signal(&w->filled);
        pthread_mutex_unlock(&w->lock);
        if (w->running)
                pthread_join(w->thread, NULL);
        if (w->event)
                event_free(w->event);
        fd_close(w->bell);
        pthread_cond_destroy(&w->filled);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return NULL;
}

/* Signals are the loop's. */
static bool thread_start(struct writer *w) {
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&w->thread, NULL, run, w);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r == 0;
}

void writer_add(struct writer *w, struct job *job) {
        if (!w->running)
                w->running = thread_start(w);
        w->n_jobs++;
        if (!w->running) {
                /* Late is better than never. */
                job->result = job->run(job);
                TAILQ_INSERT_TAIL(&w->done, job, entry);
                eventfd_write(w->bell, 1);
                return;
        }
        pthread_mutex_lock(&w->lock);
        TAILQ_INSERT_TAIL(&w->todo, job, entry);
        pthread_cond_signal(&w->filled);
        pthread_mutex_unlock(&w->lock);
}

bool writer_busy(const struct writer *w) {
        return w->n_jobs > 0;
}
