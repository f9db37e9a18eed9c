/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork without exec: the child has a folder or two open and needs nothing else.
 * It has the module's uid for the file system alone: with all of it, a sibling of
 * the module's that has processes of its own could end it, and what lies there
 * would stay, of which nobody's quota knows any more.
 */
#include "supervisor/base/job.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/base/base.h"

int job_narrow(uid_t uid, pid_t base) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (uid != geteuid()) {
                if (setgroups(0, NULL) < 0)
                        return -errno;
                setfsgid(uid);
                setfsuid(uid);
                /* Neither says whether it did it; what is no id changes nothing. */
                if (setfsgid((gid_t)-1) != (int)uid || setfsuid((uid_t)-1) != (int)uid)
                        return -EPERM;
        }
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;
        return getppid() == base ? 0 : -ESRCH;
}

void job_wait(struct base *base, struct job *job, struct job_report *ret_report) {
        struct pollfd ended = { .fd = job->child.fd, .events = POLLIN };
        uint64_t now;

        /* Nobody ticks it meanwhile. */
        while ((now = clock_now_ns()) < job->until_ns && job->until_ns != UINT64_MAX)
                if (poll(&ended, 1, (int)((job->until_ns - now) / NS_PER_MS) + 1) > 0)
                        break;
        job_tick(job);
        while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        watch_stop(base, &job->child);
        job->pid = 0;
        *ret_report = *job->report;
        munmap(job->report, sizeof(*job->report));
        job->report = NULL;
}

static void on_end(struct base *base, struct watch *watch, uint32_t events) {
        struct job *job = watch->userdata;
        struct job_report report;

        job_wait(base, job, &report);
        job->on_end(base, job, &report);
}

void job_drop(struct base *base, struct job *job) {
        struct job_report unused;

        if (!job->pid)
                return;
        kill(job->pid, SIGKILL);
        job->until_ns = UINT64_MAX;
        job_wait(base, job, &unused);
}

int job_start(struct base *base, struct job *job, uint64_t limit_ns, job_fn fn, const void *order) {
        struct job_report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t self = getpid(), pid;
        int r;

        if (report == MAP_FAILED)
                return -errno;
        report->error = -ETIME;
        pid = fork();
        if (pid == 0) {
                report->error = fn(order, self, report);
                _exit(EXIT_SUCCESS);
        }
        if (pid < 0) {
                r = -errno;
                munmap(report, sizeof(*report));
                return r;
        }
        job->pid = pid;
        job->report = report;
        job->until_ns = clock_now_ns() + limit_ns;
        r = watch_process(base, &job->child, pid, on_end, job);
        if (r)
                job_drop(base, job);
        return r;
}

void job_kill(struct job *job) {
        pidfd_send_signal(job->child.fd, SIGKILL, NULL, 0);
        job->until_ns = UINT64_MAX;
}

uint64_t job_tick(struct job *job) {
        if (!job->pid)
                return UINT64_MAX;
        if (clock_now_ns() >= job->until_ns)
                job_kill(job);
        return job->until_ns;
}
