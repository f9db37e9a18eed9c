/* SPDX-License-Identifier: Apache-2.0
 *
 * The installer: takes packages from the manager, has each unpacked by a child
 * of its own, and hands the folder back. It looks at no byte of a package.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/control.h"
#include "supervisor/installer/pool.h"
#include "supervisor/installer/store.h"

/* What waits here holds a descriptor each; what is more waits in the link. */
#define JOBS_MAX 64

enum job_state {
        JOB_WAITING, /* for a free child, or for the same package to be done */
        JOB_RUNNING,
        JOB_DONE, /* the answer has not been sent yet */
};

struct job {
        TAILQ_ENTRY(job) entry;
        enum job_state state;
        uint64_t request;
        struct control_unpack order;
        struct control_unpacked answer;
        int package; /* memfd */
        int folder;  /* staged, then whole */
        struct child child;
        uint64_t deadline_ns;
};

struct installer {
        int packages;
        int manager_link; /* -1: there is no manager now */
        struct pool pool;
        TAILQ_HEAD(job_head, job) jobs;
        uint32_t n_jobs, n_running;
};

/* A package to unpack, a package to remove. The descriptor is taken. */
void job_add(struct installer *installer, uint64_t request, const struct control_unpack *order, int package);
void job_remove_package(struct installer *installer, const struct control_unpack *order);
/* Begins what can begin, sends what can be sent. 0 or -errno: the link to the manager broke. */
int jobs_run(struct installer *installer);
/* The child of this job has something to say. */
void job_on_result(struct installer *installer, struct job *job);
/* It has ended. */
void job_on_exit(struct installer *installer, struct job *job);
/* Kills children that are past their deadline. The ms until the next deadline, -1: no child runs. */
int jobs_check_deadlines(struct installer *installer);
bool jobs_unsent(const struct installer *installer);
/* Nobody waits for them any more. */
void jobs_cancel(struct installer *installer);
