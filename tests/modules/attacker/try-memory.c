/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of others, and of the bus. pid and at: whose, and where something of it lies.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attempt.h"

/* Others' processes -------------------------------------------------------------------------------------------------- */

static char bytes[32];

static void open_mem(struct attempt *a, int flags) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/%ld/mem", number_of(a, "pid"));
        fd = (int)TRY(a, openat, AT_FDCWD, P(path), flags | O_CLOEXEC);
        if (fd < 0)
                return;
        if (TRY(a, pread64, fd, P(bytes), sizeof(bytes) - 1, number_of(a, "at")) > 0)
                prove(a, "%s", bytes);
        close(fd);
}

void read_proc_mem(struct attempt *a) {
        open_mem(a, O_RDONLY);
}

void write_proc_mem(struct attempt *a) {
        open_mem(a, O_RDWR);
}

void read_memory(struct attempt *a) {
        struct iovec here = { bytes, sizeof(bytes) - 1 }, there = { (void *)number_of(a, "at"), sizeof(bytes) - 1 };

        if (TRY(a, process_vm_readv, number_of(a, "pid"), P(&here), 1, P(&there), 1, 0) > 0)
                prove(a, "%s", bytes);
}

void write_memory(struct attempt *a) {
        struct iovec here = { bytes, 1 }, there = { (void *)number_of(a, "at"), 1 };

        if (TRY(a, process_vm_writev, number_of(a, "pid"), P(&here), 1, P(&there), 1, 0) > 0)
                prove(a, "a byte is written");
}

void trace_attach(struct attempt *a) {
        if (TRY(a, ptrace, PTRACE_ATTACH, number_of(a, "pid"), 0, 0) == 0) {
                prove(a, "it is stopped");
                syscall(SYS_ptrace, PTRACE_DETACH, number_of(a, "pid"), 0, 0);
        }
}

void trace_seize(struct attempt *a) {
        if (TRY(a, ptrace, PTRACE_SEIZE, number_of(a, "pid"), 0, 0) == 0)
                prove(a, "it is traced");
}

void trace_me(struct attempt *a) {
        if (TRY(a, ptrace, PTRACE_TRACEME, 0, 0, 0) == 0)
                prove(a, "its parent, the base, is made its tracer");
}

void open_process(struct attempt *a) {
        if (TRY(a, pidfd_open, number_of(a, "pid"), 0) >= 0)
                prove(a, "a descriptor of the process");
}

void take_descriptor(struct attempt *a) {
        if (TRY(a, pidfd_getfd, 0, 3, 0) >= 0)
                prove(a, "a descriptor of another process");
}

void robust_list(struct attempt *a) {
        size_t size;
        void *head;

        if (TRY(a, get_robust_list, number_of(a, "pid"), P(&head), P(&size)) == 0)
                prove(a, "at %p: where its memory lies", head);
}

void advise_memory(struct attempt *a) {
        if (TRY(a, process_madvise, 0, 0, 0, MADV_PAGEOUT, 0) >= 0)
                prove(a, "it is paged out");
}

void fault_handler(struct attempt *a) {
        if (TRY(a, userfaultfd, O_CLOEXEC) >= 0)
                prove(a, "faults are handled");
}

void hidden_memory(struct attempt *a) {
        if (TRY(a, memfd_secret, 0) >= 0)
                prove(a, "memory that the kernel does not see");
}

void attach_shared(struct attempt *a) {
        if (TRY(a, shmget, 0x534f434c, 4096, 01600) >= 0)
                prove(a, "shared memory that stays");
}

/* The bus: the mappings that every worker has, whose addresses are told; `on`: the part of the bus, for the reader ---- */

void unprotect_mapping(struct attempt *a) {
        if (TRY(a, mprotect, number_of(a, "at"), 4096, PROT_READ | PROT_WRITE) == 0)
                prove(a, "it can be written");
}

/* Beside it: of the same file, by growing it. */
void remap_mapping(struct attempt *a) {
        long r = TRY(a, mremap, number_of(a, "at"), 0, 4096, MREMAP_MAYMOVE);

        if (r == -1)
                return;
        if (TRY(a, mprotect, r, 4096, PROT_READ | PROT_WRITE) == 0)
                prove(a, "a copy of the mapping can be written");
        munmap((void *)r, 4096);
}

void free_mapping(struct attempt *a) {
        if (TRY(a, madvise, number_of(a, "at"), 4096, MADV_REMOVE) == 0)
                prove(a, "a hole is in it");
}

/* What the manager sent: memory of others, as descriptors. */
static int stolen_memory(struct attempt *a) {
        for (unsigned i = 0; i < n_loot; i++)
                if (fcntl(loot[i], F_GET_SEALS) > F_SEAL_SEAL)
                        return loot[i];
        prove(a, "nothing was sent. ");
        stopped(a, ENOENT);
        return -1;
}

void map_stolen(struct attempt *a) {
        int fd = stolen_memory(a);

        if (fd >= 0 && TRY(a, mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != -1)
                prove(a, "it can be written");
}

void write_stolen(struct attempt *a) {
        int fd = stolen_memory(a);

        if (fd >= 0 && TRY(a, pwrite64, fd, P(""), 1, 0) > 0)
                prove(a, "a byte is written");
}

static int reopened(struct attempt *a) {
        int fd = stolen_memory(a);
        char path[64];

        if (fd < 0)
                return -1;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return (int)TRY(a, openat, AT_FDCWD, P(path), O_RDWR | O_CLOEXEC);
}

void reopen_stolen(struct attempt *a) {
        int fd = reopened(a);

        if (fd < 0)
                return;
        prove(a, "it is open for writing; ");
        if (TRY(a, mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != -1)
                prove(a, "it can be written");
        close(fd);
}

void reopen_and_write(struct attempt *a) {
        int fd = reopened(a);

        if (fd < 0)
                return;
        prove(a, "it is open for writing; ");
        if (TRY(a, pwrite64, fd, P(""), 1, 0) > 0)
                prove(a, "a byte is written");
        close(fd);
}

static void on_reopened(struct attempt *a, long (*change)(struct attempt *a, int fd)) {
        int fd = reopened(a);

        if (fd < 0)
                fd = stolen_memory(a);
        if (fd >= 0 && change(a, fd) == 0)
                prove(a, "it is changed");
}

static long shrink(struct attempt *a, int fd) {
        return TRY(a, ftruncate, fd, 0);
}
void shrink_stolen(struct attempt *a) {
        on_reopened(a, shrink);
}

static long grow(struct attempt *a, int fd) {
        return TRY(a, fallocate, fd, 0, 0, 64 << 20);
}
void grow_stolen(struct attempt *a) {
        on_reopened(a, grow);
}

static long punch(struct attempt *a, int fd) {
        return TRY(a, fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
}
void punch_stolen(struct attempt *a) {
        on_reopened(a, punch);
}

static long seal(struct attempt *a, int fd) {
        return TRY(a, fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE);
}
void seal_stolen(struct attempt *a) {
        on_reopened(a, seal);
}

void chmod_stolen(struct attempt *a) {
        int fd = stolen_memory(a);

        if (fd >= 0 && TRY(a, fchmod, fd, 0) == 0)
                prove(a, "nobody can open it by name any more");
}

void lock_stolen(struct attempt *a) {
        int fd = stolen_memory(a);

        if (fd >= 0 && TRY(a, flock, fd, 2 /* LOCK_EX */) == 0)
                prove(a, "it is locked; nobody asks for the lock");
}

/* Its own memory ----------------------------------------------------------------------------------------------------- */

void run_data(struct attempt *a) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (TRY(a, mprotect, P(page), 4096, PROT_READ | PROT_EXEC) == 0)
                prove(a, "code that it has made can be run by it");
        munmap(page, 4096);
}

void run_own_library(struct attempt *a) {
        int fd = open("lib.so", O_RDWR | O_CREAT | O_CLOEXEC, 0700);

        if (ftruncate(fd, 4096) < 0 || TRY(a, mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == -1)
                stopped(a, errno);
        else
                prove(a, "a library that it has written can be loaded by it");
        close(fd);
        unlink("lib.so");
}
