/* SPDX-License-Identifier: Apache-2.0
 *
 * A family: a worker and all that it starts, in a PID namespace
 *
 * Where there are no groups nothing that the kernel tells of a process says
 * surely whose it was: sessions are left, parents die, PDEATHSIG is not
 * inherited. A PID namespace is never left, and when its first process ends the
 * kernel kills all others in it and lets nobody be born there any more; that
 * first process is not seen to have ended before they are gone.
 *
 * The worker itself is not the first one: that one ignores signals which it
 * does not handle, abort()'s too, and has to wait for every orphan. Nor may only
 * its children be in the namespace: who has set one for his children can have no
 * threads. So there are three births, all of them children of the base:
 *
 *   helper    shares the template's memory and descriptors, while the template
 *             stands still. Rootless it is born in a user namespace, which is
 *             what allows the next, and maps the user to himself there. What it
 *             begets is born in the namespace; it is not in it itself.
 *   init      the first of the namespace. It ignores SIGCHLD, by which orphans
 *             are reaped, and sleeps. The base kills it when it has reaped the
 *             worker, waits for its end, and takes it along when it dies itself.
 *   worker    is forked as by the template (raw-clone.c). In its copy of the
 *             memory the template's stack stands as it was left: it goes on there.
 */
#include "supervisor/template/family.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/template/sandbox.h"

struct birth {
        const struct libc_thread *thread;
        bool root;
        int base_pidfd;
        uid_t uid;
        gid_t gid;
        jmp_buf worker;
        struct family family;
        pid_t pid; /* or -errno */
};

static int file_write(const char *path, const char *text) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int map_self(uid_t uid, gid_t gid) {
        char text[64];
        int r;

        snprintf(text, sizeof(text), "%u %u 1", uid, uid);
        r = file_write("/proc/self/uid_map", text);
        if (!r)
                r = file_write("/proc/self/setgroups", "deny");
        snprintf(text, sizeof(text), "%u %u 1", gid, gid);
        return r ? r : file_write("/proc/self/gid_map", text);
}

static long clone_bare(uint64_t flags, int *pidfd, int exit_signal) {
        struct clone_args args = {
                .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | flags,
                .pidfd = (uintptr_t)pidfd,
                .exit_signal = (uint64_t)exit_signal,
        };
        long pid = syscall(SYS_clone3, &args, sizeof(args));

        return pid < 0 ? -errno : pid;
}

int family_probe(bool root) {
        _cleanup_close_ int pidfd = -1;
        uid_t uid = geteuid();
        gid_t gid = getegid();
        siginfo_t info;
        long pid;

        pid = clone_bare(CLONE_NEWPID | (root ? 0 : CLONE_NEWUSER), &pidfd, SIGCHLD);
        if (pid == 0)
                _exit(root ? 0 : -map_self(uid, gid));
        if (pid < 0)
                return (int)pid;
        while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
                if (errno != EINTR)
                        return -errno;
        return info.si_code == CLD_EXITED ? -info.si_status : -ECHILD;
}

/* Its parent is outside of what it can see: whether it is there still its pidfd tells. */
static _Noreturn void init_main(int base_pidfd) {
        struct pollfd base = { .fd = base_pidfd, .events = POLLIN };

        if (sandbox_capabilities_drop() || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || poll(&base, 1, 0))
                _exit(EXIT_FAILURE);
        prctl(PR_SET_NAME, "socle-init");
        signal(SIGCHLD, SIG_IGN);
        setsid();
        if (fd_close_all_except(NULL, 0))
                _exit(EXIT_FAILURE);
        for (;;)
                pause();
}

static int init_clone(struct birth *b) {
        long pid = clone_bare(CLONE_PARENT, &b->family.init, 0);

        if (pid == 0)
                init_main(b->base_pidfd);
        return (int)MIN(pid, 0L);
}

static int helper_main(void *userdata) {
        struct birth *b = userdata;
        int r = b->root ? 0 : map_self(b->uid, b->gid);

        if (!r && unshare(CLONE_NEWPID) < 0)
                r = -errno;
        if (!r)
                r = init_clone(b);
        b->pid = r ? r : worker_clone(b->thread, -1, &b->family.worker);
        if (b->pid == 0)
                longjmp(b->worker, 1);
        return 0;
}

pid_t family_clone(const struct libc_thread *thread, bool root, int base_pidfd, struct family *ret_family) {
        static _Alignas(16) char stack[64 * 1024];
        static struct birth b;
        int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PARENT | CLONE_PIDFD | (root ? 0 : CLONE_NEWUSER);

        b = (struct birth){ .thread = thread,
                            .root = root,
                            .base_pidfd = base_pidfd,
                            .uid = geteuid(),
                            .gid = getegid(),
                            .family = { .worker = -1, .init = -1, .helper = -1 },
                            .pid = -ECHILD }; /* the helper may be killed before it has said anything */
        if (setjmp(b.worker))
                return 0;
        if (clone(helper_main, stack + sizeof(stack), flags, &b, &b.family.helper) < 0)
                b.pid = -errno;
        *ret_family = b.family;
        return b.pid;
}
