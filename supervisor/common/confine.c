/* SPDX-License-Identifier: Apache-2.0
 *
 * Capabilities and files; the list of system calls is confine-calls.c.
 */
#include "supervisor/common/confine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/control.h"
#include "ipc/host.h"
#include "ipc/sanitizers.h"
#include "supervisor/common/confine-calls.h"
#include "supervisor/common/landlock.h"
#include "supervisor/common/log.h"

/* Whoever looks for leaks at the end stops and copies the process itself; who looks for races makes calls of his own. */
#define SANITIZED (WITH_ASAN || WITH_TSAN)

enum {
        _CONFINE_E_SUCCESS,
        CONFINE_E_NONE, /* it is not in force: the host has no such layer, or there is nothing to do */
};
static_assert((int)CONFINE_E_NONE == (int)CONFINE_CALLS_E_NONE, "one is forwarded as the other");

/* Layers. */
#define FILES 1
#define CALLS 2
#define APART 4

/* Kinds of access. */
#define LIST LANDLOCK_ACCESS_FS_READ_DIR
#define READ (LIST | LANDLOCK_ACCESS_FS_READ_FILE)
#define WRITE                                                                                                                              \
        (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |            \
         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER)

/* What a machine does not have stays in the table and on the page. */
#ifndef SYS_epoll_wait
#define SYS_epoll_wait CONFINE_NO_CALL
#define SYS_poll CONFINE_NO_CALL
#endif
#ifndef SYS_access
#define SYS_access CONFINE_NO_CALL
#define SYS_readlink CONFINE_NO_CALL
#define SYS_dup2 CONFINE_NO_CALL
#endif
#ifndef SYS_renameat
#define SYS_renameat CONFINE_NO_CALL
#endif
/* Linux 6.15; the same number on all machines. */
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* Tests of an argument: its bits under a mask are a value, or are not. */
#define TEST_WITH(bits) .mask = (bits), .value = (bits), .equal = true
#define TEST_WITHOUT(bits) .mask = (bits), .value = 0, .equal = true
#define TEST_NOT_BOTH(bits) .mask = (bits), .value = (bits), .equal = false
#define TEST_ONLY(it) .mask = UINT32_MAX, .value = (it), .equal = true

const struct confine_line confine_lines[] = {
#define LINE(the_kind, the_role, the_what, reason) .kind = CONFINE_##the_kind, .role = CONFINE_##the_role, .what = the_what, .why = reason
#define ROLE(role, program, layers, why) { LINE(ROLE, role, program, why), .number = layers, .how = #layers },
#define CAPABILITY(role, name, why) { LINE(CAPABILITY, role, #name, why), .number = CAP_##name },
#define FOLDER(role, name, kind, why) { LINE(FOLDER, role, #name, why), .number = HANDOVER_##name, .access = kind, .how = #kind },
#define PATH(role, path, kind, why) { LINE(PATH, role, path, why), .access = kind, .how = #kind },
#define CALL(role, name, why) { LINE(CALL, role, #name, why), .number = SYS_##name },
#define LIMIT(role, name, limit, why) { LINE(LIMIT, role, #name, why), .number = RLIMIT_##name, .access = limit, .how = #limit },
#define NEVER(role, name, why) { LINE(NEVER, role, #name, why), .number = SYS_##name },
#define CALL_WITH(role, used, name, reason) { LINE(CALL, role, #name, reason), .number = SYS_##name, .with = CONFINE_WITH_##used },
#define CALL_IF(role, name, n, condition, bits, why)                                                                                       \
        { LINE(CALL, role, #name, why), .number = SYS_##name, .how = #condition " " #bits,                                                 \
          .test = { .argument = n, TEST_##condition(bits) } },
#include "supervisor/common/confine.def"
#undef LINE
};
const unsigned n_confine_lines = N_ELEMENTS(confine_lines);

const struct confine_line *confine_line_next(enum confine_role role, enum confine_kind kind, unsigned *at) {
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

        for (unsigned at = 0; (line = confine_line_next(role, CONFINE_CAPABILITY, &at));)
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

        for (unsigned at = 0; (line = confine_line_next(role, CONFINE_FOLDER, &at));) {
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
                return CONFINE_E_NONE;
        ruleset = landlock_new(abi, true);
        if (ruleset < 0)
                return ruleset;
        r = allow_folders(role, ruleset, abi, handovers, n);
        for (unsigned at = 0; !r && (line = confine_line_next(role, CONFINE_PATH, &at));)
                r = allow_path(ruleset, abi, line);
        if (!r && SANITIZED) /* which looks for leaks there at the end */
                r = allow_path(ruleset, abi, &(struct confine_line){ .what = "/proc", .access = READ });
        return r ? r : landlock_enter(ruleset);
}

/* Whoever has a domain of Landlock is kept from processes outside of it, and from mounting, whatever the rules are. Making devices
 * is the one thing that is refused to all; moving files between folders would be refused if it were not allowed. */
static int confine_apart(void) {
        const struct confine_line everywhere = { .what = "/", .access = LANDLOCK_ACCESS_FS_REFER };
        _cleanup_close_ int ruleset = -1;
        int abi = landlock_probe(), r;

        if (abi < 2)
                return CONFINE_E_NONE;
        ruleset = landlock_new_of(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER);
        if (ruleset < 0)
                return ruleset;
        r = allow_path(ruleset, abi, &everywhere);
        return r ? r : landlock_enter(ruleset);
}

/* Limits ------------------------------------------------------------------------------------------------------------- */

/* A hard one that is lower already stays. */
static int limit_lower(const struct confine_line *line) {
        struct rlimit limit;

        if (getrlimit((int)line->number, &limit) < 0)
                return -errno;
        limit.rlim_cur = limit.rlim_max = MIN(limit.rlim_max, (rlim_t)line->access);
        return setrlimit((int)line->number, &limit) < 0 ? -errno : 0;
}

static int confine_limits(enum confine_role role, const struct role_handover *handovers, uint32_t n) {
        const struct confine_line *line;
        int r = CONFINE_E_NONE;

        for (unsigned at = 0; r >= 0 && (line = confine_line_next(role, CONFINE_LIMIT, &at));)
                r = limit_lower(line);
        return r;
}

/* All of them ------------------------------------------------------------------------------------------------------- */

static int apart(enum confine_role role, const struct role_handover *handovers, uint32_t n) {
        return confine_apart();
}

static int calls(enum confine_role role, const struct role_handover *handovers, uint32_t n) {
        return SANITIZED ? CONFINE_E_NONE : confine_calls(role);
}

static int never(enum confine_role role, const struct role_handover *handovers, uint32_t n) {
        return SANITIZED ? CONFINE_E_NONE : confine_never(role);
}

/* In this order: what a step needs, a later one takes away. */
static const struct {
        uint32_t layer; /* 0: what the role has lines for */
        int (*run)(enum confine_role role, const struct role_handover *handovers, uint32_t n);
        uint32_t enforced;
} steps[] = {
        { 0, confine_limits, ENFORCED_RLIMITS }, { FILES, confine_files, ENFORCED_LANDLOCK },
        { APART, apart, ENFORCED_LANDLOCK },     { CALLS, calls, ENFORCED_SECCOMP },
        { 0, never, ENFORCED_SECCOMP },
};

static uint32_t layers_of(enum confine_role role) {
        unsigned at = 0;

        return confine_line_next(role, CONFINE_ROLE, &at)->number;
}

uint32_t confine_wanted(enum confine_role role) {
        unsigned at = 0;
        bool has_calls = layers_of(role) & CALLS || confine_line_next(role, CONFINE_NEVER, &at);

        return (layers_of(role) & (FILES | APART) ? ENFORCED_LANDLOCK : 0u) | (has_calls && !SANITIZED ? ENFORCED_SECCOMP : 0u);
}

int confine(enum confine_role role, const struct role_handover *handovers, uint32_t n_handovers, uint32_t *ret_enforced) {
        uint32_t layers = layers_of(role), enforced = 0;

        for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
                int r = steps[i].layer && !(steps[i].layer & layers) ? CONFINE_E_NONE : steps[i].run(role, handovers, n_handovers);

                if (r < 0) {
                        log_error("cannot confine itself: %s", strerrordesc_np(-r));
                        return r;
                }
                if (r == 0)
                        enforced |= steps[i].enforced;
        }
        *ret_enforced = enforced;
        return 0;
}

int confine_role(enum confine_role role, const struct role_handover *handovers, uint32_t n_handovers) {
        uint32_t enforced;
        int r = confine(role, handovers, n_handovers, &enforced);

        if (!r)
                r = CONTROL_SEND(ROLE_LINK_FD, CONFINED, 0, NULL, 0, .enforced = enforced);
        return r > 0 ? 0 : r; /* a base that has gone is noticed by who reads the link */
}
