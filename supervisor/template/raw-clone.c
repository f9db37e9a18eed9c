/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw clone3 and the C library
 *
 * A worker must be born as a child of the base (CLONE_PARENT), with a pidfd,
 * in its cgroup: the death of the template then costs no module, and no pid is
 * ever guessed. No function of the C library does that; fork() has no flags.
 * So the system call is made directly, and what fork() would have done for the
 * child has to be done here, or to be known not to be needed:
 *
 *   The thread's tid is cached in the thread's descriptor: the child's would be
 *   the template's. Error-checking and recursive mutexes would believe that
 *   another process owns them, and pthread_kill, raise and abort would signal
 *   a stranger. CLONE_CHILD_SETTID writes the child's tid into that field: its
 *   address is what the library gave set_tid_address(), and PR_GET_TID_ADDRESS
 *   tells it. CLONE_CHILD_CLEARTID at the same address is how the end of a
 *   thread is announced, as for any thread.
 *
 *   The robust list is a property of the task that clone does not copy, while
 *   the library believes that it is registered: robust mutexes of a worker
 *   that dies would stay locked. The child registers it again. The list is
 *   empty, as the template holds no lock.
 *
 *   pthread_atfork handlers do not run, and no lock of malloc or stdio is
 *   taken around the call. Both exist for programs with threads; the template
 *   has one, which stands here, so no lock can be held. A base plugin that
 *   starts threads in the template breaks this and is refused for it.
 *
 *   rseq is copied by the kernel when memory is not shared. Signal handlers
 *   are cleared (CLONE_CLEAR_SIGHAND); what is ignored stays so: SIGPIPE.
 *   getpid() is not cached. Random numbers are the kernel's.
 *
 * Exit: with CLONE_PARENT the exit signal is that of the template itself and
 * the field must be 0; the base listens to pidfds, not to signals.
 *
 * Threads in the child work; that, mutex ownership, abort() and the robust
 * list are tested in tests/unit/template. Where the kernel lacks
 * PR_GET_TID_ADDRESS (no CONFIG_CHECKPOINT_RESTORE) the template refuses to
 * start: guessing offsets into the library's memory is no alternative.
 */
#include "supervisor/template/raw-clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int libc_thread_read(struct libc_thread *ret_thread) {
        struct libc_thread thread = { 0 };

        if (prctl(PR_GET_TID_ADDRESS, &thread.tid_address, 0, 0, 0) < 0)
                return -errno;
        if (syscall(SYS_get_robust_list, 0, &thread.robust_list, &thread.robust_size) < 0)
                return -errno;
        if (!thread.tid_address)
                return -ENOSYS;
        *ret_thread = thread;
        return 0;
}

int libc_thread_adopt(const struct libc_thread *thread) {
        if (!thread->robust_list)
                return 0;
        return syscall(SYS_set_robust_list, thread->robust_list, thread->robust_size) < 0 ? -errno : 0;
}

pid_t worker_clone(const struct libc_thread *thread, int cgroup, int *ret_pidfd) {
        int pidfd = -1;
        struct clone_args args = {
                .flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                .pidfd = (uintptr_t)&pidfd,
                .child_tid = (uintptr_t)thread->tid_address,
        };
        long pid;

        if (cgroup >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t)cgroup;
        }
        pid = syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0)
                return -errno;
        if (pid > 0)
                *ret_pidfd = pidfd;
        return (pid_t)pid;
}
