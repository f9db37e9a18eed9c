/* SPDX-License-Identifier: Apache-2.0
 *
 * Teardown: reap; kill what else lives in the cgroup, or without one in its PID
 * namespace, and wait until the kernel says that it is empty; remove it; remove the work folder; tell. Each step has
 * a deadline, is skipped when there is nothing to do, and what could not be done
 * is told and not hidden: the record says what is gone, not what was tried.
 */
#include "supervisor/base/teardown.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/base/base.h"
#include "supervisor/base/disk.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/log.h"

#define EMPTY_NS (5 * NS_PER_S)

static void failed(struct instance *i, const char *what, int error) {
        log_error("instance %s of %s: %s: %s", i->label, i->name, what, strerrordesc_np(-error));
        if (!i->exited.error)
                i->exited.error = error;
}

void teardown_tell(struct base *base, const struct instance *i, uint32_t adopted) {
        struct control_exited body = i->exited;

        body.adopted = adopted;
        link_send(base, &base->roles[ROLE_MANAGER].link, CONTROL_KIND_EXITED, 0, &body, sizeof(body), NULL, 0);
}

static void finish(struct base *base, struct instance *i) {
        i->link = fd_close(i->link);
        i->page = fd_close(i->page);
        i->out = fd_close(i->out);
        i->err = fd_close(i->err);
        i->exited.reaped_ns = clock_now_ns();
        i->state = INSTANCE_EXITED;
        teardown_tell(base, i, 0);
}

static void work_end(struct base *base, struct instance *i) {
        int r = work_remove(base->folders.fds[FOLDER_WORK], i->label);

        if (r)
                failed(i, "work folder", r > 0 ? -ENOTEMPTY : r);
        i->exited.work_gone = r == 0;
        finish(base, i);
}

static void on_cleaned(struct base *base, struct job *job, const struct job_report *report) {
        struct instance *i = job->userdata;

        i->exited.n_files = report->n_removed;
        work_end(base, i);
}

static void work_begin(struct base *base, struct instance *i) {
        int r = work_remove(base->folders.fds[FOLDER_WORK], i->label);

        if (r == WORK_E_FULL) {
                i->cleaner.on_end = on_cleaned;
                i->cleaner.userdata = i;
                r = work_clean(base, &i->cleaner, base->folders.fds[FOLDER_WORK], i->label, i->uid);
                if (!r) {
                        i->state = INSTANCE_CLEANING;
                        return;
                }
        }
        if (r)
                failed(i, "work folder", r);
        i->exited.work_gone = r == 0;
        finish(base, i);
}

static void group_end(struct base *base, struct instance *i, int error) {
        int r = error ? error : cgroup_leaf_remove(&base->cgroup, i->leaf_name);

        watch_stop(base, &i->events);
        i->leaf = fd_close(i->leaf);
        i->exited.cgroup_gone = r == 0;
        if (r)
                failed(i, "cgroup", r);
        work_begin(base, i);
}

static void on_group_event(struct base *base, struct watch *watch, uint32_t events) {
        struct instance *i = watch->userdata;
        char unused[256];
        int r;

        /* A read resets the notification; what it says is read again below. */
        r = pread(watch->fd, unused, sizeof(unused), 0) < 0 ? -errno : cgroup_leaf_populated(i->leaf);
        if (r <= 0)
                group_end(base, i, r);
}

static int group_wait(struct base *base, struct instance *i) {
        int fd = cgroup_leaf_events(i->leaf), r;

        if (fd < 0)
                return fd;
        r = watch_start(base, &i->events, fd, EPOLLPRI, on_group_event, i);
        if (r)
                return r;
        i->state = INSTANCE_EMPTYING;
        i->until_ns = clock_now_ns() + EMPTY_NS;
        /* It may have emptied before we listened. */
        r = cgroup_leaf_populated(i->leaf);
        if (r <= 0)
                group_end(base, i, r);
        return 0;
}

static void group_begin(struct base *base, struct instance *i) {
        int r;

        if (i->leaf < 0) {
                i->exited.cgroup_gone = 2;
                work_begin(base, i);
                return;
        }
        cgroup_leaf_account(i->leaf, &i->exited);
        r = cgroup_leaf_populated(i->leaf);
        if (r > 0) {
                i->exited.n_processes = cgroup_leaf_count(i->leaf);
                cgroup_leaf_kill(i->leaf);
                r = group_wait(base, i);
                if (!r)
                        return;
        }
        group_end(base, i, r);
}

static void family_end(struct base *base, struct instance *i, int error) {
        if (error)
                failed(i, "processes", error);
        group_begin(base, i);
}

/* It is not seen to have ended before all others of the namespace have; that may be after it was told as one that stays. */
static void on_init_death(struct base *base, struct watch *watch, uint32_t events) {
        struct instance *i = watch->userdata;
        siginfo_t info;
        int r = waitid(P_PIDFD, (id_t)watch->fd, &info, WEXITED | WNOHANG | __WALL) < 0 ? -errno : 0;

        watch_stop(base, &i->events);
        i->init_pid = 0;
        if (i->state == INSTANCE_EMPTYING)
                family_end(base, i, r);
        else if (i->acknowledged)
                instance_free(base, i);
}

static void family_begin(struct base *base, struct instance *i) {
        int r;

        if (i->init < 0) {
                group_begin(base, i);
                return;
        }
        pidfd_send_signal(i->init, SIGKILL, NULL, 0);
        r = watch_start(base, &i->events, TAKE_FD(i->init), EPOLLIN, on_init_death, i);
        if (r) {
                i->init_pid = 0;
                family_end(base, i, r);
                return;
        }
        i->state = INSTANCE_EMPTYING;
        i->until_ns = clock_now_ns() + EMPTY_NS;
}

static int reap(struct instance *i, siginfo_t *info, struct rusage *usage) {
        /* The library's waitid has no rusage; __WALL because a clone's end may have no signal. */
        if (syscall(SYS_waitid, P_PIDFD, i->pidfd.fd, info, WEXITED | WNOHANG | __WALL, usage) < 0)
                return -errno;
        return info->si_pid ? 0 : -EAGAIN;
}

static uint64_t micros(const struct timeval *t) {
        return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

void teardown_on_death(struct base *base, struct watch *watch, uint32_t events) {
        struct instance *i = watch->userdata;
        struct control_exited *e = &i->exited;
        struct rusage usage = { 0 };
        siginfo_t info = { 0 };
        int r;

        r = reap(i, &info, &usage);
        if (r == -EAGAIN)
                return;
        watch_stop(base, &i->pidfd);
        disk_forget(base, i);
        e->instance = i->id;
        memcpy(e->tag, i->tag, sizeof(e->tag));
        e->pid = i->pid;
        e->code = info.si_code;
        e->status = info.si_status;
        e->peak_memory = (uint64_t)usage.ru_maxrss * 1024;
        e->user_us = micros(&usage.ru_utime);
        e->system_us = micros(&usage.ru_stime);
        e->pid_gone = r == 0;
        if (r)
                failed(i, "waitid", r);
        family_begin(base, i);
}

uint64_t teardown_tick(struct base *base) {
        uint64_t next = UINT64_MAX, now = clock_now_ns();
        struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry) {
                if (i->state == INSTANCE_CLEANING)
                        next = earliest(next, job_tick(&i->cleaner));
                if (i->state != INSTANCE_EMPTYING)
                        continue;
                if (now < i->until_ns)
                        next = earliest(next, i->until_ns);
                else
                        (i->init_pid ? family_end : group_end)(base, i, -EBUSY);
        }
        return next;
}
