/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs: what the base has a child do to a module's files, until a deadline. The
 * base waits for none of it in its loop, and believes the child numbers only.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "supervisor/base/disk-count.h"
#include "supervisor/base/loop.h"

struct base;
struct job;

/* What it says, up to its end. */
struct job_report {
        int error; /* -errno; -ETIME: it was killed */
        struct disk_count count;
        uint64_t shared_memory; /* bytes, where no controller counts them */
        uint32_t n_removed;     /* files and folders */
};

/* In the child: 0 or -errno. */
typedef int (*job_fn)(const void *order, pid_t base, struct job_report *report);
/* It has ended and may be started again. */
typedef void (*job_end_fn)(struct base *base, struct job *job, const struct job_report *report);

struct job {
        pid_t pid; /* 0: nobody is at it */
        struct watch child;
        uint64_t until_ns;
        struct job_report *report; /* shared with the child */
        job_end_fn on_end;
        void *userdata;
};
#define JOB_INIT ((struct job){ .child = WATCH_INIT })

/* Forks a child that does it; on_end is set. 0 or -errno: then there is none. */
int job_start(struct base *base, struct job *job, uint64_t limit_ns, job_fn fn, const void *order);
/* Its end is an event as if it had come by itself. */
void job_kill(struct job *job);
/* Ends one that takes too long. When to come back. */
uint64_t job_tick(struct job *job);
/* Waits for its end, of which nobody is told, until its deadline. */
void job_wait(struct base *base, struct job *job, struct job_report *ret_report);
/* Kills it, when there is one, and waits. */
void job_drop(struct base *base, struct job *job);

/* In the child: files are seen as that uid does, without capabilities over them, and it ends with the base. 0 or -errno. */
int job_narrow(uid_t uid, pid_t base);
