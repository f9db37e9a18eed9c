/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs: waiting, running in a child, done. They begin in the order in which they
 * came, at most CHILDREN_MAX at a time and one at a time of the same package.
 *
 * A folder counts only when the child has ended: until then something may still
 * be writing into it.
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
        fd_close(job->pidfd);
        fd_close(job->result);
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
        job->folder = job->pidfd = job->result = -1;
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

static int job_fork(struct installer *in, struct job *job) {
        _cleanup_close_ int theirs = -1;
        struct child_order order = { .package = job->package,
                                     .staging = job->folder,
                                     .limits = { .max_size = job->order.max_size, .max_files = job->order.max_files } };
        int pair[2], r;

        r = fd_pipe(pair);
        if (r)
                return r;
        job->result = pair[0];
        order.result = theirs = pair[1];
        job->pid = child_start(&in->sandbox, in->null_fd, &order);
        if (job->pid < 0)
                return job->pid;
        /* Not reaped before we say so, hence this pid is the child's. */
        job->pidfd = pidfd_open(job->pid, 0);
        if (job->pidfd >= 0)
                return 0;
        r = -errno;
        kill(job->pid, SIGKILL);
        waitpid(job->pid, NULL, 0);
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
        if (!r && job->folder == -ENOENT)
                job->folder = store_stage(in->packages, job->order.sha256);
        if (!r && job->folder < 0)
                r = job->folder;
        if (!r) {
                r = job_fork(in, job);
                if (r)
                        store_unstage(in->packages, job->order.sha256);
        }
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

static void job_finish(struct installer *in, struct job *job, const struct child_result *result) {
        int r = result->error;

        if (!r) {
                r = store_publish(in->packages, job->order.sha256);
                if (r)
                        store_unstage(in->packages, job->order.sha256);
                job->answer.n_files = result->report.n_files;
                job->answer.size = result->report.size;
                job_done(job, r, "%s", r ? strerror(-r) : "");
                return;
        }
        store_unstage(in->packages, job->order.sha256);
        job_done(job, r, "%.*s", (int)sizeof(result->report.message) - 1, result->report.message);
}

static void job_lost(struct installer *in, struct job *job, const siginfo_t *info) {
        store_unstage(in->packages, job->order.sha256);
        if (!job->deadline_ns)
                job_done(job, -ETIMEDOUT, "unpacking it took longer than %d s", DEADLINE_S);
        else if (info->si_code == CLD_EXITED)
                job_done(job, -ECHILD, "the process that unpacked it exited with status %d", info->si_status);
        else
                job_done(job, -ECHILD, "the process that unpacked it was killed by signal %d (%s)", info->si_status,
                         sigdescr_np(info->si_status) ? sigdescr_np(info->si_status) : "unknown");
}

static void job_reap(struct installer *in, struct job *job, siginfo_t *ret_info) {
        *ret_info = (siginfo_t){ 0 };
        waitid(P_PIDFD, (id_t)job->pidfd, ret_info, WEXITED);
        job->pidfd = fd_close(job->pidfd);
        in->n_running--;
}

void job_on_exit(struct installer *in, struct job *job) {
        struct child_result result;
        siginfo_t info;
        ssize_t n;

        job_reap(in, job, &info);
        n = read(job->result, &result, sizeof(result));
        job->result = fd_close(job->result);
        /* The child is not believed blindly: it may have been taken over by what it read. */
        if (n == sizeof(result) && info.si_code == CLD_EXITED && info.si_status == 0)
                job_finish(in, job, &result);
        else
                job_lost(in, job, &info);
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
                return -1;
        now = clock_now_ns();
        TAILQ_FOREACH(job, &in->jobs, entry) {
                if (job->state != JOB_RUNNING || !job->deadline_ns)
                        continue;
                if (job->deadline_ns <= now) {
                        job->deadline_ns = 0; /* its end is the pidfd's business */
                        pidfd_send_signal(job->pidfd, SIGKILL, NULL, 0);
                } else {
                        next = MIN(next, job->deadline_ns);
                }
        }
        return next == UINT64_MAX ? -1 : (int)((next - now) / NS_PER_MS) + 1;
}

void jobs_cancel(struct installer *in) {
        struct job *job;
        siginfo_t info;

        while ((job = TAILQ_FIRST(&in->jobs))) {
                if (job->state == JOB_RUNNING) {
                        pidfd_send_signal(job->pidfd, SIGKILL, NULL, 0);
                        job_reap(in, job, &info);
                        store_unstage(in->packages, job->order.sha256);
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
