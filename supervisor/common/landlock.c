/* SPDX-License-Identifier: Apache-2.0
 *
 * The C library has no functions for these calls.
 */
#include "supervisor/common/landlock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_TCP UINT64_C(3) /* ABI 4: bind, connect */
#define SCOPE_ALL UINT64_C(3)  /* ABI 6: abstract sockets, signals */

/* The kernel's struct landlock_ruleset_attr as of ABI 6; older kernels take its beginning. */
struct ruleset {
        uint64_t fs, net, scoped;
};

int landlock_probe(void) {
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

        return abi < 0 ? 0 : (int)abi;
}

uint64_t landlock_access_all(int abi) {
        uint64_t access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

        if (abi >= 2)
                access |= LANDLOCK_ACCESS_FS_REFER;
        if (abi >= 3)
                access |= LANDLOCK_TRUNCATE;
        if (abi >= 5)
                access |= LANDLOCK_IOCTL_DEV;
        return access;
}

int landlock_new(int abi, bool tcp) {
        struct ruleset ruleset = {
                .fs = landlock_access_all(abi),
                .net = abi >= 4 && tcp ? ACCESS_TCP : 0,
                .scoped = abi >= 6 ? SCOPE_ALL : 0,
        };
        size_t size = abi >= 6 ? sizeof(ruleset) : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
        long fd = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);

        return fd < 0 ? -errno : (int)fd;
}

int landlock_new_of(uint64_t access) {
        struct ruleset ruleset = { .fs = access };
        long fd = syscall(SYS_landlock_create_ruleset, &ruleset, offsetof(struct ruleset, net), 0);

        return fd < 0 ? -errno : (int)fd;
}

int landlock_allow(int ruleset, int abi, int fd, uint64_t access) {
        struct landlock_path_beneath_attr rule = { .allowed_access = access & landlock_access_all(abi), .parent_fd = fd };

        return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int landlock_enter(int ruleset) {
        return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
