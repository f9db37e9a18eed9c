/* SPDX-License-Identifier: Apache-2.0
 *
 * Single steps alone would cost the square of the way's length. So the child runs
 * freely to a trap at an address that it has not been at too often before, and
 * steps from there. Children of one parent have their code at the same addresses.
 */
#include "tests/model/stepper.h"

#include <assert.h>
#include <elf.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#define TRAP_COST 3 /* at the trap, over it, and the word of code twice */

#if defined(__x86_64__)
#define PC(regs) ((regs).rip)
#define WITH_TRAP(code) (((code) & ~UINT64_C(0xff)) | 0xcc)
#elif defined(__aarch64__)
#define PC(regs) ((regs).pc)
#define WITH_TRAP(code) (((code) & ~UINT64_C(0xffffffff)) | 0xd4200000)
#endif

#if STEPPER_WORKS

bool stepper_allow(void) {
        return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

/* Until it stops; by which signal. 0: it has ended. */
static int wait_for_stop(pid_t pid) {
        int status;

        if (waitpid(pid, &status, 0) != pid)
                abort();
        return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

bool stepper_begin(pid_t pid) {
        return wait_for_stop(pid) == SIGSTOP;
}

/* False: that was the second SIGSTOP. */
static bool resume(pid_t pid, bool one_step) {
        int stop;

        if (ptrace(one_step ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, NULL, NULL) < 0)
                abort();
        stop = wait_for_stop(pid);
        assert(stop == SIGTRAP || stop == SIGSTOP);
        return stop == SIGTRAP;
}

static uint64_t get_pc(pid_t pid) {
        struct user_regs_struct regs;
        struct iovec io = { &regs, sizeof(regs) };

        if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &io) < 0)
                abort();
        return PC(regs);
}

/* Some processors have gone over the trap when they tell of it. */
static void set_pc(pid_t pid, uint64_t pc) {
        struct user_regs_struct regs;
        struct iovec io = { &regs, sizeof(regs) };

        if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &io) < 0)
                abort();
        PC(regs) = pc;
        if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &io) < 0)
                abort();
}

static void path_add(struct path *path, uint64_t pc) {
        if (path->n == path->n_room) {
                path->n_room = path->n_room ? 2 * path->n_room : 4096;
                path->at = realloc(path->at, path->n_room * sizeof(*path->at));
                path->nth = realloc(path->nth, path->n_room * sizeof(*path->nth));
                assert(path->at && path->nth);
        }
        path->nth[path->n] = 0;
        for (uint64_t i = path->n; i-- > 0;) {
                if (path->at[i] == pc) {
                        path->nth[path->n] = path->nth[i] + 1;
                        break;
                }
        }
        path->at[path->n++] = pc;
}

void stepper_record(pid_t pid, struct path *path) {
        path->n = 0;
        do {
                path_add(path, get_pc(pid));
        } while (resume(pid, true));
}

/* Where it is best to come from. 0 needs no trap. */
static uint64_t origin_of(const struct path *path, uint64_t k) {
        uint64_t best = 0, best_cost = k;

        for (uint64_t i = 1; i <= k; i++) {
                uint64_t cost = TRAP_COST * (path->nth[i] + UINT64_C(1)) + k - i;

                if (cost < best_cost) {
                        best_cost = cost;
                        best = i;
                }
        }
        return best;
}

/* To the nth time that it comes there. */
static bool run_to_address(pid_t pid, uint64_t pc, uint32_t nth) {
        long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)pc, NULL);

        for (;; nth--) {
                if (ptrace(PTRACE_POKETEXT, pid, (void *)pc, (void *)WITH_TRAP((uint64_t)code)) < 0)
                        abort();
                if (!resume(pid, false))
                        return false;
                set_pc(pid, pc);
                if (ptrace(PTRACE_POKETEXT, pid, (void *)pc, (void *)code) < 0)
                        abort();
                if (!nth)
                        return true;
                if (!resume(pid, true))
                        return false;
        }
}

bool stepper_run_to(pid_t pid, const struct path *path, uint64_t k) {
        uint64_t origin = origin_of(path, k);

        if (origin && !run_to_address(pid, path->at[origin], path->nth[origin]))
                return false;
        for (uint64_t i = origin; i < k; i++) {
                if (!resume(pid, true))
                        return false;
        }
        return get_pc(pid) == path->at[k];
}

#else

bool stepper_allow(void) {
        return false;
}

bool stepper_begin(pid_t pid) {
        return false;
}

void stepper_record(pid_t pid, struct path *path) {
}

bool stepper_run_to(pid_t pid, const struct path *path, uint64_t k) {
        return false;
}

#endif
