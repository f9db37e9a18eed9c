/* SPDX-License-Identifier: Apache-2.0
 *
 * What has to wait for a disk is done on a thread of its own, one job after the
 * other, so that the loop never waits for one.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct writer;

/* Begins the struct of whoever has something to be done. */
struct job {
        TAILQ_ENTRY(job) entry;
        int (*run)(struct job *job);               /* on the thread: touches nothing but its job; store.h is for it */
        void (*done)(struct job *job, int result); /* on the loop, some turn later: the job is his again */
        int result;
};

/* on_idle is called on the loop when nothing is left to do. 0 or -errno. */
int writer_new(struct event_base *loop, void (*on_idle)(void *userdata), void *userdata, struct writer **ret_writer);
/* Waits for the job under way and forgets the others. */
struct writer *writer_free(struct writer *writer);
void writer_add(struct writer *writer, struct job *job);
bool writer_busy(const struct writer *writer);
