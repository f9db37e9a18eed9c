/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter is assembled by hand: it is a list and nothing else, and the kernel
 * keeps a bitmap of the calls that a filter lets through whatever their
 * arguments are, so the list costs nothing after the first time.
 */
#include "supervisor/common/confine-calls.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/common/filter-arch.h"

#define FILTER_MAX 512

struct filter {
        struct sock_filter code[FILTER_MAX];
        unsigned short n;
};

static void emit(struct filter *f, uint16_t code, uint8_t yes, uint8_t no, uint32_t k) {
        if (f->n < FILTER_MAX)
                f->code[f->n++] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
}

static void emit_load(struct filter *f, size_t offset) {
        emit(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void emit_return(struct filter *f, uint32_t what) {
        emit(f, BPF_RET | BPF_K, 0, 0, what);
}

/* The lower half of an argument: all that is looked at are ints and words of flags. */
static size_t argument_offset(unsigned n) {
        return offsetof(struct seccomp_data, args) + 8 * n + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4);
}

static void emit_call(struct filter *f, const struct confine_line *line) {
        const struct confine_test *test = &line->test;

        if (line->number == CONFINE_NO_CALL)
                return;
        emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, line->how ? 5 : 1, line->number);
        if (line->how) {
                emit_load(f, argument_offset(test->argument));
                emit(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, test->mask);
                emit(f, BPF_JMP | BPF_JEQ | BPF_K, test->equal, !test->equal, test->value);
                emit_return(f, SECCOMP_RET_ERRNO | EPERM);
        }
        emit_return(f, SECCOMP_RET_ALLOW);
}

/* Whoever calls in another machine's way (32 bit on 64) would get past a list of numbers. */
static void emit_begin(struct filter *f) {
        emit_load(f, offsetof(struct seccomp_data, arch));
        emit(f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, FILTER_ARCH);
        emit_return(f, SECCOMP_RET_KILL_PROCESS);
        emit_load(f, offsetof(struct seccomp_data, nr));
}

static int filter_load(struct filter *f) {
        struct sock_fprog program = { .len = f->n, .filter = f->code };

        if (f->n == FILTER_MAX)
                return -E2BIG;
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
                return 0;
        return errno == ENOSYS || errno == EINVAL ? CONFINE_CALLS_E_NONE : -errno;
}

static uint32_t used; /* enum confine_with */

void confine_with(uint32_t what) {
        used = what;
}

int confine_calls(enum confine_role role) {
        const struct confine_line *line;
        struct filter f = { 0 };

        emit_begin(&f);
        for (unsigned at = 0; (line = confine_line_next(role, CONFINE_CALL, &at));)
                if (!line->with || line->with & used)
                        emit_call(&f, line);
        emit_return(&f, SECCOMP_RET_ERRNO | ENOSYS);
        return filter_load(&f);
}

int confine_never(enum confine_role role) {
        const struct confine_line *line;
        struct filter f = { 0 };
        unsigned at = 0;

        if (!confine_line_next(role, CONFINE_NEVER, &at))
                return CONFINE_CALLS_E_NONE;
        at = 0;
        emit_begin(&f);
#ifdef __x86_64__
        emit(&f, BPF_JMP | BPF_JGE | BPF_K, 0, 1, __X32_SYSCALL_BIT); /* the same calls once more */
        emit_return(&f, SECCOMP_RET_ERRNO | ENOSYS);
#endif
        while ((line = confine_line_next(role, CONFINE_NEVER, &at))) {
                emit(&f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, line->number);
                emit_return(&f, SECCOMP_RET_ERRNO | EPERM);
        }
        emit_return(&f, SECCOMP_RET_ALLOW);
        return filter_load(&f);
}
