/* SPDX-License-Identifier: Apache-2.0
 *
 * A pipe carries the child's word, as nothing cheaper wakes a process that
 * sleeps.
 */
#include "bench/floor.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"

/* A child that dies without a word would be waited for as long as this process holds the pipe. */
#define PATIENCE_S 20

void floor_die(const char *what) {
        fprintf(stderr, "bench: floor: %s: %m\n", what);
        _exit(EXIT_FAILURE);
}

void floor_init(struct floor *ret_floor) {
        if (libc_thread_read(&ret_floor->thread) || pipe2(ret_floor->told, O_CLOEXEC) < 0)
                floor_die("preparing");
}

pid_t floor_clone(const struct floor *floor, int cgroup) {
        struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                                   .child_tid = (uintptr_t)floor->thread.tid_address,
                                   .exit_signal = SIGCHLD };
        long pid;

        if (cgroup >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t)cgroup;
        }
        pid = syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0)
                floor_die("clone3");
        return (pid_t)pid;
}

void floor_adopt(const struct floor *floor) {
        if (libc_thread_adopt(&floor->thread))
                floor_die("set_robust_list");
}

void floor_load(const char *module) {
        if (!dlopen(module, RTLD_NOW | RTLD_LOCAL)) {
                fprintf(stderr, "bench: floor: %s\n", dlerror());
                _exit(EXIT_FAILURE);
        }
}

void floor_tell(const struct floor *floor) {
        if (write(floor->told[1], "", 1) != 1)
                floor_die("telling the parent");
}

void floor_wait(const struct floor *floor) {
        char byte;

        alarm(PATIENCE_S);
        if (read(floor->told[0], &byte, 1) != 1)
                floor_die("waiting for the child");
        alarm(0);
}

void floor_reap(pid_t pid) {
        int status;

        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
}

double floor_fork(const struct floor *floor, const char *module) {
        uint64_t begin = clock_now_ns(), end;
        pid_t pid = floor_clone(floor, -1);

        if (pid == 0) {
                floor_adopt(floor);
                floor_load(module);
                floor_tell(floor);
                for (;;)
                        pause();
        }
        floor_wait(floor);
        end = clock_now_ns();
        floor_reap(pid);
        return (double)(end - begin) / 1000;
}

double floor_touch(void) {
        const size_t pages = 512, size = (size_t)sysconf(_SC_PAGESIZE);
        volatile char *memory = mmap(NULL, pages * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint64_t begin = clock_now_ns(), end;

        if (memory == MAP_FAILED)
                floor_die("mmap");
        for (size_t i = 0; i < pages; i++)
                memory[i * size] = 1;
        end = clock_now_ns();
        munmap((void *)(uintptr_t)memory, pages * size);
        return (double)(end - begin) / 1000 / (double)pages;
}
