/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs: waiting, running in a child, done. They begin in the order in which they
 * came, at most CHILDREN_MAX at a time and one at a time of the same package.
 *
 * A folder counts only when the child is stopped for good or has ended: until
 * then something may still be writing into it.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/common/log.h"
#include "supervisor/installer/installer.h"

#define DEADLINE_S 120
#define PACKAGE_SIZE_MAX (UINT64_C(1) << 30)

static void job_free(struct installer *in, struct job *job) {
        TAILQ_REMOVE(&in->jobs, job, entry);
        in->n_jobs--;
        fd_close(job->package);
        fd_close(job->folder);
        free(job);
}

void job_add(struct installer *in, uint64_t request, const struct control_unpack *order, int package) {
        struct job *job = calloc(1, sizeof(*job));

        if (!job) {
                /* The manager cannot be told for sure either; it learns it from our end. */
                log_error("out of memory");
                exit(EXIT_FAILURE);
        }
        job->request = request;
        job->order = *order;
        job->answer.begin_ns = clock_now_ns();
        job->package = package;
        job->folder = -1;
        job->child = CHILD_NONE;
        TAILQ_INSERT_TAIL(&in->jobs, job, entry);
        in->n_jobs++;
}

static _printf_(3, 4) void job_done(struct job *job, int error, const char *format, ...) {
        va_list args;

        job->state = JOB_DONE;
        job->answer.error = error;
        va_start(args, format);
        vsnprintf(job->answer.message, sizeof(job->answer.message), format, args);
        va_end(args);
        job->package = fd_close(job->package);
        if (error)
                job->folder = fd_close(job->folder);
        job->answer.end_ns = clock_now_ns();
}

/* Begin ------------------------------------------------------------------------------------------------------------ */

static int job_check(struct job *job) {
        uint64_t size;
        int r;

        if (!store_hash_ok(job->order.sha256, sizeof(job->order.sha256)))
                return -EINVAL;
        r = memfd_check(job->package, MEMFD_SEALS_CONST, 0, PACKAGE_SIZE_MAX, &size);
        return r;
}

static int job_give(struct installer *in, struct job *job) {
        int r;

        r = pool_take(&in->pool, &job->child);
        if (!r && child_order(&job->child, &job->order, job->package)) {
                /* A spare that has died and is not reaped yet. */
                child_end(&job->child, &in->pool.kit);
                r = pool_take(&in->pool, &job->child);
                if (!r && child_order(&job->child, &job->order, job->package))
                        r = -ECHILD;
        }
        if (r)
                child_end(&job->child, &in->pool.kit);
        return r;
}

static void job_begin(struct installer *in, struct job *job) {
        int r = job_check(job);

        if (!r)
                job->folder = store_open(in->packages, job->order.sha256);
        if (!r && job->folder >= 0) {
                job->answer.reused = 1;
                job_done(job, 0, "%s", "");
                return;
        }
        if (!r)
                r = job->folder == -ENOENT ? job_give(in, job) : job->folder;
        if (r) {
                job_done(job, r, "it cannot be unpacked: %s", strerror(-r));
                return;
        }
        job->state = JOB_RUNNING;
        job->deadline_ns = clock_now_ns() + DEADLINE_S * NS_PER_S;
        in->n_running++;
}

static bool same_package_runs(struct installer *in, const char *sha256) {
        struct job *job;

        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (job->state == JOB_RUNNING && !memcmp(job->order.sha256, sha256, STORE_HASH_SIZE))
                        return true;
        }
        return false;
}

/* End -------------------------------------------------------------------------------------------------------------- */

/* The child is not believed blindly: what it was taken over by can fill its folder with anything, and no more. */
void job_on_result(struct installer *in, struct job *job) {
        struct child_result result;
        int r;

        if (child_finish(&job->child, &result))
                return; /* its end is the pidfd's business */
        in->n_running--;
        r = result.error;
        if (!r) {
                job->folder = child_publish(&job->child, &in->pool.kit, job->order.sha256);
                r = MIN(job->folder, 0);
                snprintf(result.report.message, sizeof(result.report.message), "%s", r ? strerror(-r) : "");
                job->answer.n_files = result.report.n_files;
                job->answer.size = result.report.size;
        }
        child_discard(&job->child, &in->pool.kit);
        pool_put(&in->pool, &job->child);
        job_done(job, r, "%.*s", (int)sizeof(result.report.message) - 1, result.report.message);
}

void job_on_exit(struct installer *in, struct job *job) {
        siginfo_t info;

        child_reap(&job->child, &in->pool.kit, &info);
        in->n_running--;
        if (!job->deadline_ns)
                job_done(job, -ETIMEDOUT, "unpacking it took longer than %d s", DEADLINE_S);
        else if (info.si_code == CLD_EXITED)
                job_done(job, -ECHILD, "the process that unpacked it exited with status %d", info.si_status);
        else
                job_done(job, -ECHILD, "the process that unpacked it was killed by signal %d (%s)", info.si_status,
                         sigdescr_np(info.si_status) ? sigdescr_np(info.si_status) : "unknown");
}

/* All -------------------------------------------------------------------------------------------------------------- */

static int job_send(struct installer *in, struct job *job) {
        uint32_t n_fds = job->answer.error ? 0 : 1;

        return control_send(in->manager_link, CONTROL_KIND_UNPACKED, job->request, &job->answer, sizeof(job->answer), &job->folder, n_fds);
}

int jobs_run(struct installer *in) {
        struct job *job, *next;

        for (job = TAILQ_FIRST(&in->jobs); job; job = next) {
                int r;

                next = TAILQ_NEXT(job, entry);
                if (job->state == JOB_WAITING && in->n_running < CHILDREN_MAX && !same_package_runs(in, job->order.sha256))
                        job_begin(in, job);
                if (job->state != JOB_DONE)
                        continue;
                pool_touch(&in->pool);
                r = job_send(in, job);
                if (r == CONTROL_E_AGAIN)
                        continue; /* when the link takes it */
                if (r)
                        return r < 0 ? r : -EPIPE;
                job_free(in, job);
        }
        return 0;
}

bool jobs_unsent(const struct installer *in) {
        const struct job *job;

        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (job->state == JOB_DONE)
                        return true;
        }
        return false;
}

int jobs_check_deadlines(struct installer *in) {
        uint64_t now, next = UINT64_MAX;
        struct job *job;

        if (!in->n_running)
                return pool_tidy(&in->pool);
        now = clock_now_ns();
        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (job->state != JOB_RUNNING || !job->deadline_ns)
                        continue;
                if (job->deadline_ns <= now) {
                        job->deadline_ns = 0; /* its end is the pidfd's business */
                        pidfd_send_signal(job->child.pidfd, SIGKILL, NULL, 0);
                } else {
                        next = MIN(next, job->deadline_ns);
                }
        }
        return next == UINT64_MAX ? -1 : (int)((next - now) / NS_PER_MS) + 1;
}

void jobs_cancel(struct installer *in) {
        struct job *job;

        while ((job = TAILQ_FIRST(&in->jobs))) {
                if (job->state == JOB_RUNNING) {
                        child_end(&job->child, &in->pool.kit);
                        in->n_running--;
                }
                job_free(in, job);
        }
}

void job_remove_package(struct installer *in, const struct control_unpack *order) {
        struct job *job;
        int r;

        if (!store_hash_ok(order->sha256, sizeof(order->sha256)))
                return;
        /* Asked for again meanwhile: whoever asked last is right. */
        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (!memcmp(job->order.sha256, order->sha256, STORE_HASH_SIZE))
                        return;
        }
        r = store_remove(in->packages, order->sha256);
        if (r)
                log_error("the package %.12s cannot be removed: %s", order->sha256, strerror(-r));
}
