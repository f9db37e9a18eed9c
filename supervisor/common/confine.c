/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter is assembled by hand: it is a list and nothing else, and the kernel
 * keeps a bitmap of the calls that a filter lets through whatever their
 * arguments are, so the list costs nothing after the first time. Two calls have
 * an argument looked at, mmap and mprotect: what strangers' bytes are written to
 * is never run.
 */
#include "supervisor/common/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/common/landlock.h"
#include "supervisor/common/log.h"

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCH AUDIT_ARCH_RISCV64
#else
#error "name this machine's AUDIT_ARCH_* here"
#endif

/* Whoever looks for leaks at the end stops and copies the process itself. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define FILTER_MAX 256

/* Layers. */
#define FILES 1
#define CALLS 2

/* Kinds of access. */
#define LIST LANDLOCK_ACCESS_FS_READ_DIR
#define READ (LIST | LANDLOCK_ACCESS_FS_READ_FILE)
#define RUN (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define WRITE                                                                                                                              \
        (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |            \
         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER)

const struct confine_line confine_lines[] = {
#define ROLE(role, program, layers, why) { CONFINE_ROLE, CONFINE_##role, layers, 0, program, "", why },
#define CAPABILITY(role, capability, why) { CONFINE_CAPABILITY, CONFINE_##role, CAP_##capability, 0, #capability, "", why },
#define FOLDER(role, handover, access, why) { CONFINE_FOLDER, CONFINE_##role, HANDOVER_##handover, access, #handover, #access, why },
#define PATH(role, path, access, why) { CONFINE_PATH, CONFINE_##role, 0, access, path, #access, why },
#define CALL(role, name, why) { CONFINE_CALL, CONFINE_##role, SYS_##name, 0, #name, "", why },
#include "supervisor/common/confine.def"
};
const unsigned n_confine_lines = N_ELEMENTS(confine_lines);

static const struct confine_line *line_next(enum confine_role role, enum confine_kind kind, unsigned *at) {
        while (*at < n_confine_lines) {
                const struct confine_line *line = &confine_lines[(*at)++];

                if (line->role == role && line->kind == kind)
                        return line;
        }
        return NULL;
}

/* Capabilities ------------------------------------------------------------------------------------------------------- */

static uint64_t capabilities_of(enum confine_role role) {
        const struct confine_line *line;
        uint64_t set = 0;

        for (unsigned at = 0; (line = line_next(role, CONFINE_CAPABILITY, &at));)
                set |= UINT64_C(1) << line->number;
        return set;
}

int confine_capabilities(enum confine_role role) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { 0 };
        uint64_t keep = capabilities_of(role);

        if (geteuid() != 0)
                return 0;
        for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
                if (!(cap < 64 && keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
                        return -errno;
        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        for (size_t i = 0; i < N_ELEMENTS(data); i++) {
                data[i].permitted &= (uint32_t)(keep >> 32 * i);
                data[i].effective &= data[i].permitted;
                data[i].inheritable = 0;
        }
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Files -------------------------------------------------------------------------------------------------------------- */

static int allow_folders(enum confine_role role, int ruleset, int abi, const struct role_handover *handovers, uint32_t n) {
        const struct confine_line *line;

        for (unsigned at = 0; (line = line_next(role, CONFINE_FOLDER, &at));) {
                for (uint32_t i = 0; i < n; i++) {
                        int r = handovers[i].what != line->number || handovers[i].fd < 0
                                        ? 0
                                        : landlock_allow(ruleset, abi, handovers[i].fd, line->access);

                        if (r)
                                return r;
                }
        }
        return 0;
}

static int allow_path(int ruleset, int abi, const struct confine_line *line) {
        _cleanup_close_ int fd = open(line->what, O_PATH | O_CLOEXEC);
        uint64_t access = line->access;
        struct stat st;

        if (fd < 0)
                return 0; /* what is not there cannot be needed */
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode)) /* the rest is for folders, and refused for a file */
                access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
        return landlock_allow(ruleset, abi, fd, access);
}

static int confine_files(enum confine_role role, const struct role_handover *handovers, uint32_t n) {
        _cleanup_close_ int ruleset = -1;
        const struct confine_line *line;
        int abi = landlock_probe(), r;

        if (!abi)
                return 0;
        ruleset = landlock_new(abi, true);
        if (ruleset < 0)
                return ruleset;
        r = allow_folders(role, ruleset, abi, handovers, n);
        for (unsigned at = 0; !r && (line = line_next(role, CONFINE_PATH, &at));)
                r = allow_path(ruleset, abi, line);
        if (!r && SANITIZED) /* which looks for leaks there at the end */
                r = allow_path(ruleset, abi, &(struct confine_line){ .what = "/proc", .access = READ });
        return r ? r : landlock_enter(ruleset);
}

/* System calls ------------------------------------------------------------------------------------------------------- */

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

static bool makes_code(uint32_t call) {
        return call == SYS_mmap || call == SYS_mprotect;
}

static void emit_call(struct filter *f, uint32_t call) {
        if (!makes_code(call)) {
                emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call);
                emit_return(f, SECCOMP_RET_ALLOW);
                return;
        }
        emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, call);
        emit_load(f, offsetof(struct seccomp_data, args[2]) + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4));
        emit(f, BPF_JMP | BPF_JSET | BPF_K, 0, 1, PROT_EXEC);
        emit_return(f, SECCOMP_RET_ERRNO | EPERM);
        emit_return(f, SECCOMP_RET_ALLOW);
}

static int confine_calls(enum confine_role role) {
        struct filter f = { 0 };
        struct sock_fprog program = { .filter = f.code };
        const struct confine_line *line;

        emit_load(&f, offsetof(struct seccomp_data, arch));
        emit(&f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, FILTER_ARCH);
        emit_return(&f, SECCOMP_RET_KILL_PROCESS);
        emit_load(&f, offsetof(struct seccomp_data, nr));
        for (unsigned at = 0; (line = line_next(role, CONFINE_CALL, &at));)
                emit_call(&f, line->number);
        emit_return(&f, SECCOMP_RET_ERRNO | ENOSYS);
        if (f.n == FILTER_MAX)
                return -E2BIG;
        program.len = f.n;
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
                return 0;
        return errno == ENOSYS || errno == EINVAL ? 0 : -errno; /* a kernel without */
}

int confine(enum confine_role role, const struct role_handover *handovers, uint32_t n_handovers) {
        unsigned at = 0;
        uint32_t layers = line_next(role, CONFINE_ROLE, &at)->number;
        int r = 0;

        if (layers & FILES)
                r = confine_files(role, handovers, n_handovers);
        if (!r && layers & CALLS && !SANITIZED)
                r = confine_calls(role);
        if (r)
                log_error("cannot confine itself: %s", strerrordesc_np(-r));
        return r;
}
