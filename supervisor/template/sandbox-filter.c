/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's own filter: the few things that the template's allow-list must
 * permit, because the template and a worker's birth need them, and that a
 * running module must not have.
 *
 * It is assembled by hand, because libseccomp would put a general decision
 * tree, and its heap, where twenty comparisons do: it is run once per system
 * call on top of the inherited filter and loaded once per worker.
 *
 *   new processes   clone must carry CLONE_THREAD. clone3 hides its flags in
 *                   memory, which a filter cannot read: ENOSYS makes the C
 *                   library fall back to clone, so threads work.
 *   `processes`     may fork and exec, but into no new namespace (a user
 *                   namespace gives capabilities) and not CLONE_PARENT (it
 *                   would be a child of the base that is in no table).
 *   namespaces      unshare, setns. capset: its birth has given up what there was.
 *   io_uring        goes round this filter. With [sandbox] io-uring = yes the
 *                   worker has one ring, restricted to what the filter lets
 *                   through (sandbox-uring.c), and may enter it; there is no
 *                   other and no way to change what it may do.
 *   signals, limits, placement of other processes: rootless, they have the
 *                   same uid. A file has a signal of one's choice sent to its
 *                   owner, who can be anybody: no owners are set.
 *   PDEATHSIG       is how a worker ends with the base; it stays set.
 *   dumpable        as it was born: else the module could have its memory
 *                   dumped, or let others of its uid look into it.
 *   sockets         without network there is none to be had. The empty
 *                   network namespace does not stop UNIX sockets, whose paths
 *                   Landlock does not cover, and rootless there may be no such
 *                   namespace. Pairs remain, but not of datagrams: those can
 *                   be connected anew, to a path. With network and rootless
 *                   there are no UNIX sockets either: among the paths would be
 *                   those where only the uid is asked for, as the base's own.
 *   SO_LINGER       the last to close such a socket waits. A module could send
 *                   one to the manager, or leave it on its link when it dies.
 *   SO_REUSEPORT    the gateways' sockets have it, and let in beside them who
 *                   has their uid: rootless, a module would be given its share
 *                   of those who connect to the base.
 *   set-uid         rootless, a file that has it and that somebody else runs is the
 *                   user himself, outside of all this: it is neither made nor
 *                   created so. Nor does a module open its package, which it has
 *                   open for reading, to others' writing.
 *   modes, times, sizes of files by their path: Landlock does not know of the
 *                   former two, old ones not of the last. It matters where the
 *                   files of others are one's own, rootless. What works by
 *                   descriptor stays: it was opened, and Landlock was asked.
 */
#include "supervisor/template/sandbox.h"

#include <assert.h>
#include <asm/ioctls.h>
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/common/filter-arch.h"

/* The lower half of an argument: all that is compared are ints and flag words. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARG(n) ((uint32_t)offsetof(struct seccomp_data, args[n]))
#else
#define ARG(n) ((uint32_t)offsetof(struct seccomp_data, args[n]) + 4)
#endif

/* Linux 6.6; the same number on all machines. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define LANDLOCK_ABI_TRUNCATE 3

#define O_TMPFILE_ALONE (O_TMPFILE & ~O_DIRECTORY)
#define SET_IDS (S_ISUID | S_ISGID)
#define WRITTEN_BY_OTHERS (S_IWGRP | S_IWOTH)

#define DENY(error) (SECCOMP_RET_ERRNO | ((error)&SECCOMP_RET_DATA))
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

struct filter {
        struct sock_filter *code;
        size_t n;
};

static void emit(struct filter *f, struct sock_filter instruction) {
        assert(f->n < SANDBOX_FILTER_MAX);
        f->code[f->n++] = instruction;
}

static void load(struct filter *f, uint32_t offset) {
        emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void answer(struct filter *f, uint32_t action) {
        emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Skips the next n instructions unless the accumulator is the value. */
static void unless_equal_skip(struct filter *f, uint32_t value, uint8_t n) {
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n));
}

static void refuse(struct filter *f, long call, int error) {
        unless_equal_skip(f, (uint32_t)call, 1);
        answer(f, DENY((uint32_t)error));
}

/* In the rules about arguments the accumulator no longer holds the number, so each ends in an answer. */

static void refuse_if_bits(struct filter *f, long call, unsigned arg, uint32_t bits) {
        unless_equal_skip(f, (uint32_t)call, 4);
        load(f, ARG(arg));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
        answer(f, DENY(EPERM));
        answer(f, SECCOMP_RET_ALLOW);
}

static void refuse_unless_bits(struct filter *f, long call, unsigned arg, uint32_t bits) {
        unless_equal_skip(f, (uint32_t)call, 4);
        load(f, ARG(arg));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
        answer(f, DENY(EPERM));
        answer(f, SECCOMP_RET_ALLOW);
}

/* What a file is created with: only then is there a mode. */
static void refuse_created_with(struct filter *f, long call, unsigned flags, unsigned mode, uint32_t bits) {
        unless_equal_skip(f, (uint32_t)call, 6);
        load(f, ARG(flags));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | O_TMPFILE_ALONE, 0, 3));
        load(f, ARG(mode));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
        answer(f, DENY(EPERM));
        answer(f, SECCOMP_RET_ALLOW);
}

/* The argument, masked, must be one of two values, or (refuse_either) none of them. */
static void check_either(struct filter *f, long call, unsigned arg, uint32_t mask, uint32_t a, uint32_t b, bool wanted) {
        unless_equal_skip(f, (uint32_t)call, 6);
        load(f, ARG(arg));
        emit(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, a, 1, 0));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, b, 0, 1));
        answer(f, wanted ? SECCOMP_RET_ALLOW : DENY(EPERM));
        answer(f, wanted ? DENY(EPERM) : SECCOMP_RET_ALLOW);
}

static void need_either(struct filter *f, long call, unsigned arg, uint32_t mask, uint32_t a, uint32_t b) {
        check_either(f, call, arg, mask, a, b, true);
}

static void refuse_either(struct filter *f, long call, unsigned arg, uint32_t mask, uint32_t a, uint32_t b) {
        check_either(f, call, arg, mask, a, b, false);
}

/* Of a pointer: what it points at cannot be looked at, but whether it is one. */
static void need_null(struct filter *f, long call, unsigned arg) {
        unless_equal_skip(f, (uint32_t)call, 6);
        load(f, ARG(arg));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2));
        load(f, ARG(arg) ^ 4);
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
        answer(f, DENY(EPERM));
        answer(f, SECCOMP_RET_ALLOW);
}

static void refuse_options(struct filter *f, uint32_t a, uint32_t b) {
        unless_equal_skip(f, SYS_setsockopt, 7);
        load(f, ARG(1));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 0, 4));
        load(f, ARG(2));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, a, 1, 0));
        emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, b, 0, 1));
        answer(f, DENY(EPERM));
        answer(f, SECCOMP_RET_ALLOW);
}

static void rules_processes(struct filter *f, bool processes) {
        refuse(f, SYS_clone3, ENOSYS);
        if (processes) {
                refuse_if_bits(f, SYS_clone, 0, NAMESPACES | CLONE_PARENT);
                return;
        }
        refuse_unless_bits(f, SYS_clone, 0, CLONE_THREAD);
#ifdef SYS_fork
        refuse(f, SYS_fork, EPERM);
        refuse(f, SYS_vfork, EPERM);
#endif
        refuse(f, SYS_execve, EPERM);
        refuse(f, SYS_execveat, EPERM);
}

/* With processes of its own a worker has children to signal; what else it reaches is the uid's and Landlock's business. */
static void rules_others(struct filter *f, bool processes, bool own_uid, uint32_t pid) {
        need_either(f, SYS_prlimit64, 0, UINT32_MAX, 0, pid);
        refuse_either(f, SYS_fcntl, 1, UINT32_MAX, F_SETOWN, F_SETOWN_EX);
        refuse_either(f, SYS_ioctl, 1, UINT32_MAX, FIOSETOWN, SIOCSPGRP);
        if (!own_uid)
                need_either(f, SYS_sched_setaffinity, 0, UINT32_MAX, 0, pid);
        if (processes)
                return;
        need_either(f, SYS_kill, 0, UINT32_MAX, pid, pid);
        need_either(f, SYS_tgkill, 0, UINT32_MAX, pid, pid);
        refuse(f, SYS_tkill, EPERM);
}

static void rules_sockets(struct filter *f, bool network) {
        if (network)
                refuse_either(f, SYS_socket, 0, UINT32_MAX, AF_UNIX, AF_UNIX);
        else
                refuse(f, SYS_socket, EPERM);
        refuse_either(f, SYS_socketpair, 1, 0xf, SOCK_DGRAM, SOCK_RAW);
}

static void rules_files(struct filter *f, bool own_uid, bool truncate_is_covered) {
        if (!own_uid || !truncate_is_covered)
                refuse(f, SYS_truncate, EPERM);
        if (own_uid)
                return;
        refuse(f, SYS_fchmodat, EPERM);
        refuse(f, SYS_fchmodat2, EPERM);
        need_null(f, SYS_utimensat, 1);
        refuse_if_bits(f, SYS_fchmod, 1, SET_IDS | WRITTEN_BY_OTHERS);
        refuse_created_with(f, SYS_openat, 2, 3, SET_IDS);
        refuse(f, SYS_openat2, ENOSYS); /* its mode is in memory; who uses it knows kernels without it */
#ifdef SYS_chmod
        refuse(f, SYS_chmod, EPERM);
        refuse_created_with(f, SYS_open, 1, 2, SET_IDS);
        refuse_if_bits(f, SYS_creat, 1, SET_IDS);
        refuse(f, SYS_utime, EPERM);
        refuse(f, SYS_utimes, EPERM);
#endif
}

size_t sandbox_filter_build(const struct sandbox *sandbox, uint32_t flags, pid_t pid, struct sock_filter ret_code[SANDBOX_FILTER_MAX]) {
        bool processes = flags & FORK_PROCESSES, network = flags & FORK_NETWORK_HOST, own_uid = sandbox->enforced & ENFORCED_UIDS;
        struct filter f = { .code = ret_code };

        load(&f, offsetof(struct seccomp_data, arch));
        emit(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0));
        answer(&f, SECCOMP_RET_KILL_PROCESS);
        load(&f, offsetof(struct seccomp_data, nr));
        rules_processes(&f, processes);
        refuse(&f, SYS_unshare, EPERM);
        refuse(&f, SYS_setns, EPERM);
        refuse(&f, SYS_capset, EPERM);
        refuse(&f, SYS_io_uring_setup, EPERM);
        if (!(flags & FORK_IO_URING))
                refuse(&f, SYS_io_uring_enter, EPERM);
        refuse(&f, SYS_io_uring_register, EPERM);
        refuse_either(&f, SYS_prctl, 0, UINT32_MAX, PR_SET_PDEATHSIG, PR_SET_DUMPABLE);
        rules_others(&f, processes, own_uid, (uint32_t)pid);
        if (network)
                refuse_options(&f, SO_LINGER, own_uid ? SO_LINGER : SO_REUSEPORT);
        if (!network || !own_uid)
                rules_sockets(&f, network);
        rules_files(&f, own_uid, sandbox->landlock_abi >= LANDLOCK_ABI_TRUNCATE);
        answer(&f, SECCOMP_RET_ALLOW);
        return f.n;
}

int sandbox_filter_load(const struct sandbox *sandbox, uint32_t flags) {
        struct sock_filter code[SANDBOX_FILTER_MAX];
        struct sock_fprog program = { .filter = code };

        program.len = (unsigned short)sandbox_filter_build(sandbox, flags, getpid(), code);
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
