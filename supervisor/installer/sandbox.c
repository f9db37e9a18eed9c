/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock, limits and system calls of the child that unpacks. Landlock is
 * taken on where the kernel has it (5.13), and so is the filter; a strict base
 * does not run where it has not.
 */
#include "supervisor/installer/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/common/landlock.h"

/* Files and folders are created, and read back: module.ini and the entry. Files that are there get another name, or go. */
#define ACCESS_STAGING                                                                                                                     \
        (LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |        \
         LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE)

#define CPU_SECONDS 60
#define MEMORY_MAX (UINT64_C(1) << 30)
#define FILES_MAX 64

/* Prepared in the installer ---------------------------------------------------------------------------------------- */

static int mapped_now(uint64_t *ret_size) {
        _cleanup_close_ int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        char text[64] = "";
        uint64_t pages;

        if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
                return -errno;
        if (sscanf(text, "%" SCNu64, &pages) != 1)
                return -EBADMSG;
        *ret_size = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

static int add_calls(scmp_filter_ctx ctx) {
        static const char *const names[] = {
#define X(name, reason) #name,
#include "supervisor/installer/calls.def"
#undef X
        };

        for (size_t i = 0; i < N_ELEMENTS(names); i++) {
                int number = seccomp_syscall_resolve_name(names[i]), r;

                /* This machine, or this libseccomp, does not have it. */
                if (number < 0)
                        continue;
                r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
                if (r)
                        return r;
        }
        return 0;
}

/* Memory, but never to run what is in it. */
static int add_memory(scmp_filter_ctx ctx) {
        int r;

        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        return r ? r : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* libseccomp gives the program to a descriptor only. */
static int export_code(scmp_filter_ctx ctx, struct sandbox *s) {
        _cleanup_close_ int fd = memfd_new("socle-filter", 0);
        off_t size;
        int r;

        if (fd < 0)
                return fd;
        r = seccomp_export_bpf(ctx, fd);
        if (r)
                return r;
        size = lseek(fd, 0, SEEK_END);
        if (size <= 0 || (size_t)size % sizeof(*s->code) || (size_t)size / sizeof(*s->code) > BPF_MAXINSNS)
                return -EBADMSG;
        s->code = malloc((size_t)size);
        if (!s->code)
                return -ENOMEM;
        s->n_code = (unsigned short)((size_t)size / sizeof(*s->code));
        return fd_pread_all(fd, s->code, (size_t)size, 0);
}

static int compile(struct sandbox *s) {
        scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
        int r;

        if (!ctx)
                return -ENOMEM;
        r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (!r) /* a tree in place of a list; older libraries cannot */
                seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (!r)
                r = add_calls(ctx);
        if (!r)
                r = add_memory(ctx);
        if (!r)
                r = export_code(ctx, s);
        seccomp_release(ctx);
        /* What the compiler left in the heap would be copied page by page in every child. */
        malloc_trim(0);
        return r;
}

/* Where the kernel has none, the library compiles nothing. */
static bool has_seccomp(void) {
        uint32_t action = SECCOMP_RET_ERRNO;

        return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int sandbox_prepare(struct sandbox *ret_sandbox) {
        struct sandbox s = { .landlock_abi = landlock_probe() };
        int r;

        r = has_seccomp() ? compile(&s) : 0;
        if (!r)
                r = mapped_now(&s.address_space);
        if (r) {
                sandbox_deinit(&s);
                return r;
        }
        *ret_sandbox = s;
        return 0;
}

void sandbox_deinit(struct sandbox *s) {
        free(s->code);
        *s = (struct sandbox){ 0 };
}

/* Taken on by the child -------------------------------------------------------------------------------------------- */

static int enter_landlock(int abi, int folder) {
        _cleanup_close_ int ruleset = landlock_new(abi, true);
        int r;

        if (ruleset < 0)
                return ruleset;
        r = landlock_allow(ruleset, abi, folder, ACCESS_STAGING);
        return r ? r : landlock_enter(ruleset);
}

/* Lowers a limit; one that is lower already stays. */
static int limit_lower(int which, rlim_t value) {
        struct rlimit limit;

        if (getrlimit(which, &limit) < 0)
                return -errno;
        value = MIN(value, limit.rlim_max);
        limit = (struct rlimit){ .rlim_cur = value, .rlim_max = value };
        return setrlimit(which, &limit) < 0 ? -errno : 0;
}

static int enter_limits(const struct sandbox *s, uint64_t max_file_size) {
        const struct {
                int which;
                rlim_t value;
        } limits[] = {
                { RLIMIT_CORE, 0 },
                { RLIMIT_CPU, CPU_SECONDS },
                { RLIMIT_AS, s->address_space + MEMORY_MAX },
                { RLIMIT_FSIZE, max_file_size },
                { RLIMIT_NOFILE, FILES_MAX },
        };

        for (size_t i = 0; i < N_ELEMENTS(limits); i++) {
                int r = limit_lower(limits[i].which, limits[i].value);

                if (r)
                        return r;
        }
        return 0;
}

int sandbox_enter(const struct sandbox *s, int folder, uint64_t max_file_size) {
        struct sock_fprog program = { .len = s->n_code, .filter = s->code };
        int r;

        r = enter_limits(s, max_file_size);
        if (!r && s->landlock_abi)
                r = enter_landlock(s->landlock_abi, folder);
        if (!r && s->code && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
                r = -errno;
        return r;
}
