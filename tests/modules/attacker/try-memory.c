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
#include <sys/file.h>
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

/* What the manager sent: memory of others, as descriptors. Until one of them is not refused, and then proves it. */
static void each_stolen(struct attempt *a, const char *proof, bool (*change)(struct attempt *a, int fd)) {
        unsigned n = 0;

        for (unsigned i = 0; i < n_loot; i++) {
                if (fcntl(loot[i], F_GET_SEALS) <= F_SEAL_SEAL)
                        continue;
                n++;
                if (change(a, loot[i])) {
                        prove(a, "%s", proof);
                        return;
                }
        }
        if (!n)
                stopped(a, ENOENT);
}

static bool map(struct attempt *a, int fd) {
        return TRY(a, mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != -1;
}
void map_stolen(struct attempt *a) {
        each_stolen(a, "it can be written", map);
}

static bool write_byte(struct attempt *a, int fd) {
        return TRY(a, pwrite64, fd, P(""), 1, 0) > 0;
}
void write_stolen(struct attempt *a) {
        each_stolen(a, "a byte is written", write_byte);
}

/* Seals, modes and sizes are the file's: a descriptor that was opened for reading is opened anew for writing. */
static int reopen(struct attempt *a, int fd) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return (int)TRY(a, openat, AT_FDCWD, P(path), O_RDWR | O_CLOEXEC);
}

static bool on_reopened(struct attempt *a, int fd, bool (*change)(struct attempt *a, int fd)) {
        int again = reopen(a, fd);
        bool done = again >= 0 && change(a, again);

        if (again >= 0)
                close(again);
        return done;
}

static bool reopen_and_map(struct attempt *a, int fd) {
        return on_reopened(a, fd, map);
}
void reopen_stolen(struct attempt *a) {
        each_stolen(a, "it can be written", reopen_and_map);
}

static bool reopen_and_write(struct attempt *a, int fd) {
        return on_reopened(a, fd, write_byte);
}
void rewrite_stolen(struct attempt *a) {
        each_stolen(a, "a byte is written", reopen_and_write);
}

static bool to_nothing(struct attempt *a, int fd) {
        return TRY(a, ftruncate, fd, 0) == 0;
}
static bool shrink(struct attempt *a, int fd) {
        return on_reopened(a, fd, to_nothing);
}
void shrink_stolen(struct attempt *a) {
        each_stolen(a, "it is empty", shrink);
}

static bool to_more(struct attempt *a, int fd) {
        return TRY(a, fallocate, fd, 0, 0, 32 << 20) == 0;
}
static bool grow(struct attempt *a, int fd) {
        return on_reopened(a, fd, to_more);
}
void grow_stolen(struct attempt *a) {
        each_stolen(a, "it is longer", grow);
}

static bool hole(struct attempt *a, int fd) {
        return TRY(a, fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
}
static bool punch(struct attempt *a, int fd) {
        return on_reopened(a, fd, hole);
}
void punch_stolen(struct attempt *a) {
        each_stolen(a, "a hole is in it", punch);
}

static bool one_seal_more(struct attempt *a, int fd) {
        return TRY(a, fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE) == 0;
}
static bool seal(struct attempt *a, int fd) {
        return on_reopened(a, fd, one_seal_more);
}
void seal_stolen(struct attempt *a) {
        each_stolen(a, "its owner cannot write any more", seal);
}

static bool close_to_all(struct attempt *a, int fd) {
        return TRY(a, fchmod, fd, 0) == 0;
}
void chmod_stolen(struct attempt *a) {
        each_stolen(a, "nobody can open it by name any more", close_to_all);
}

static bool lock(struct attempt *a, int fd) {
        return TRY(a, flock, fd, LOCK_EX | LOCK_NB) == 0;
}
void lock_stolen(struct attempt *a) {
        each_stolen(a, "it is locked; nobody asks for the lock", lock);
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
