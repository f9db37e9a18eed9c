/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals to others, by all ways there are; pid: to whom.
 */
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"

void send_kill(struct attempt *a) {
        if (TRY(a, kill, number_of(a, "pid"), SIGKILL) == 0)
                prove(a, "it is killed");
}

/* Whether it could: nothing is sent. */
void send_nothing(struct attempt *a) {
        if (TRY(a, kill, number_of(a, "pid"), 0) == 0)
                prove(a, "it could be killed");
}

void kill_all(struct attempt *a) {
        if (TRY(a, kill, -1, SIGKILL) == 0)
                prove(a, "everybody is killed");
}

void kill_group(struct attempt *a) {
        if (TRY(a, kill, -number_of(a, "pid"), SIGKILL) == 0)
                prove(a, "its group is killed");
}

void send_tgkill(struct attempt *a) {
        if (TRY(a, tgkill, number_of(a, "pid"), number_of(a, "pid"), SIGKILL) == 0)
                prove(a, "it is killed");
}

void send_tkill(struct attempt *a) {
        if (TRY(a, tkill, number_of(a, "pid"), SIGKILL) == 0)
                prove(a, "it is killed");
}

void send_pidfd(struct attempt *a) {
        if (TRY(a, pidfd_send_signal, 0, SIGKILL, 0, 0) == 0)
                prove(a, "it is killed");
}

void send_queued(struct attempt *a) {
        siginfo_t info = { .si_code = SI_QUEUE };

        if (TRY(a, rt_sigqueueinfo, number_of(a, "pid"), SIGUSR1, P(&info)) == 0)
                prove(a, "it is sent");
}

void send_queued_to_thread(struct attempt *a) {
        siginfo_t info = { .si_code = SI_QUEUE };

        if (TRY(a, rt_tgsigqueueinfo, number_of(a, "pid"), number_of(a, "pid"), SIGUSR1, P(&info)) == 0)
                prove(a, "it is sent");
}

/* A timer whose signal goes to a thread of another. */
void send_by_timer(struct attempt *a) {
        struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
        int timer;

        event._sigev_un._tid = (pid_t)number_of(a, "pid");
        if (TRY(a, timer_create, CLOCK_MONOTONIC, P(&event), P(&timer)) == 0)
                prove(a, "it is armed");
}

void send_by_owner(struct attempt *a) {
        if (TRY(a, fcntl, link_fd, F_SETOWN, number_of(a, "pid")) == 0)
                prove(a, "what comes on a socket is told to another as a signal");
}

void send_by_owner_ioctl(struct attempt *a) {
        int pid = (int)number_of(a, "pid");

        if (TRY(a, ioctl, link_fd, FIOSETOWN, P(&pid)) == 0)
                prove(a, "what comes on a socket is told to another as a signal");
}

/* Not signals, but of the same kind */
void limit_other(struct attempt *a) {
        static const struct rlimit limit = { 0, 0 };

        if (TRY(a, prlimit64, number_of(a, "pid"), RLIMIT_NOFILE, P(&limit), 0) == 0)
                prove(a, "it opens no file any more");
}

void place_other(struct attempt *a) {
        unsigned long mask[16] = { 1 };

        if (TRY(a, sched_setaffinity, number_of(a, "pid"), sizeof(mask), P(mask)) == 0)
                prove(a, "it runs where it is told");
}

void look_at_place(struct attempt *a) {
        unsigned long mask[16];

        if (TRY(a, sched_getaffinity, number_of(a, "pid"), sizeof(mask), P(mask)) > 0)
                prove(a, "on which cores it may run");
}

void prefer_self(struct attempt *a) {
        if (TRY(a, setpriority, PRIO_PROCESS, 0, -20) == 0)
                prove(a, "it is before all others");
}

void slow_other(struct attempt *a) {
        if (TRY(a, setpriority, PRIO_PROCESS, number_of(a, "pid"), 19) == 0)
                prove(a, "it is behind all others");
}

void real_time(struct attempt *a) {
        int priority = 1;

        if (TRY(a, sched_setscheduler, 0, 1 /* SCHED_FIFO */, P(&priority)) == 0)
                prove(a, "it is before all others");
}

void real_time_attr(struct attempt *a) {
        uint32_t attr[12] = { 48, 6 /* SCHED_DEADLINE */ };

        if (TRY(a, sched_setattr, 0, P(attr), 0) == 0)
                prove(a, "it is before all others");
}

void join_group(struct attempt *a) {
        if (TRY(a, setpgid, 0, number_of(a, "pid")) == 0)
                prove(a, "it is in another's group");
}
