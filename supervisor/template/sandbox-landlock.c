/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock: which files a worker can reach at all, whatever its uid could.
 *
 * Everything is closed, then opened: its package (read), its work folder
 * (write), the system's libraries and data under /usr, a few files of /etc,
 * three devices, and what the operator's settings add. Not /proc, not even
 * /proc/self: a rule holds on to an inode, and procfs makes a new one for a
 * process whenever its old one was reclaimed, so that such a rule would
 * vanish under memory pressure.
 *
 * What is the same for all workers is opened once in the template, as O_PATH
 * descriptors that workers inherit: a rule then costs one system call in
 * place of three. A ruleset itself cannot be shared, because adding a
 * worker's package to it would add it for all; nor can layers be stacked to
 * the same end, because they intersect.
 *
 * The ABI is probed (1 is the oldest, Linux 5.13; Debian 12 has 2). The
 * headers of the build host may be older than the kernel, so the newer bits
 * are defined here.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"

#define ACCESS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define ACCESS_NET_TCP UINT64_C(3)           /* ABI 4: bind, connect */
#define SCOPE_ALL UINT64_C(3)                /* ABI 6: abstract sockets, signals */

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_RUN (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* What a rule about a file, as opposed to a folder, may contain. */
#define ACCESS_OF_FILE                                                                                                                     \
        (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

/* The kernel's struct landlock_ruleset_attr as of ABI 6; older kernels take its beginning. */
struct ruleset {
        uint64_t fs, net, scoped;
};

/* Every worker. Missing ones are skipped: systems differ. */
static const struct {
        const char *path;
        uint64_t access;
} common_paths[] = {
        { "/usr", ACCESS_RUN }, /* libraries, locales, time zones, CA certificates */
        { "/lib", ACCESS_RUN }, /* where it is not a link into /usr */
        { "/lib64", ACCESS_RUN },
        { "/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/etc/ssl/certs", ACCESS_READ },
        { "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE },
        { "/dev/zero", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/dev/random", LANDLOCK_ACCESS_FS_READ_FILE },
};

/* network = host: what the C library's resolver reads. */
static const char *const resolver_paths[] = {
        "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
};

int sandbox_landlock_probe(void) {
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

        return abi < 0 ? 0 : (int)abi;
}

static uint64_t access_handled(int abi) {
        uint64_t access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

        if (abi >= 2)
                access |= LANDLOCK_ACCESS_FS_REFER;
        if (abi >= 3)
                access |= ACCESS_TRUNCATE;
        if (abi >= 5)
                access |= ACCESS_IOCTL_DEV;
        return access;
}

static bool inside_usr(const char *path) {
        _cleanup_free_ char *real = realpath(path, NULL);

        return real && strncmp(real, "/usr/", 5) == 0 && strcmp(path, "/usr") != 0;
}

static bool prepare_path(struct sandbox *sandbox, const char *path, uint64_t access, uint32_t at) {
        int fd;

        if (at >= SANDBOX_PATHS_MAX || inside_usr(path))
                return false;
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return false;
        sandbox->paths[at] = (struct sandbox_path){ .fd = fd, .access = access };
        return true;
}

void sandbox_landlock_prepare(struct sandbox *sandbox) {
        for (size_t i = 0; i < N_ELEMENTS(common_paths); i++)
                sandbox->n_paths += prepare_path(sandbox, common_paths[i].path, common_paths[i].access, sandbox->n_paths);
        for (size_t i = 0; i < N_ELEMENTS(resolver_paths); i++)
                sandbox->n_resolver_paths += prepare_path(sandbox, resolver_paths[i], LANDLOCK_ACCESS_FS_READ_FILE,
                                                          sandbox->n_paths + sandbox->n_resolver_paths);
}

static int ruleset_open(int abi, bool network_host) {
        struct ruleset ruleset = {
                .fs = access_handled(abi),
                .net = abi >= 4 && !network_host ? ACCESS_NET_TCP : 0,
                .scoped = abi >= 6 ? SCOPE_ALL : 0,
        };
        size_t size = abi >= 6 ? sizeof(ruleset) : abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
        long fd = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);

        return fd < 0 ? -errno : (int)fd;
}

static int rule_add(int ruleset, int abi, int fd, uint64_t access) {
        struct landlock_path_beneath_attr rule = { .allowed_access = access & access_handled(abi), .parent_fd = fd };

        return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

/* A path of the settings: it must be there, because somebody asked for it by name. */
static int rule_add_named(int ruleset, int abi, const char *path, uint64_t access) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return rule_add(ruleset, abi, fd, S_ISDIR(st.st_mode) ? access : access & ACCESS_OF_FILE);
}

static int rules_named(int ruleset, int abi, const char *const *paths, uint32_t n, uint64_t access, const char **ret_path) {
        for (uint32_t i = 0; i < n; i++) {
                int r = rule_add_named(ruleset, abi, paths[i], access);

                if (r) {
                        *ret_path = paths[i];
                        return r;
                }
        }
        return 0;
}

static int rules_inherited(int ruleset, const struct sandbox *sandbox, bool network_host) {
        uint32_t n = sandbox->n_paths + (network_host ? sandbox->n_resolver_paths : 0);

        for (uint32_t i = 0; i < n; i++) {
                int r = rule_add(ruleset, sandbox->landlock_abi, sandbox->paths[i].fd, sandbox->paths[i].access);

                if (r)
                        return r;
        }
        return 0;
}

static int rules_own(int ruleset, int abi, const struct sandbox_grants *grants, uint64_t write) {
        int r = 0;

        if (grants->package >= 0)
                r = rule_add(ruleset, abi, grants->package, ACCESS_RUN);
        if (!r && grants->work >= 0)
                r = rule_add(ruleset, abi, grants->work, write);
        return r;
}

int sandbox_landlock_apply(const struct sandbox *sandbox, const struct sandbox_grants *grants, const char **ret_path) {
        int abi = sandbox->landlock_abi, r;
        /* Nothing that can be written can be run, no device is made. */
        uint64_t write = access_handled(abi) & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_DEVICES);
        _cleanup_close_ int ruleset = -1;

        *ret_path = NULL;
        ruleset = ruleset_open(abi, grants->network_host);
        if (ruleset < 0)
                return ruleset;
        r = rules_inherited(ruleset, sandbox, grants->network_host);
        if (!r)
                r = rules_own(ruleset, abi, grants, write);
        if (!r)
                r = rules_named(ruleset, abi, grants->read, grants->n_read, ACCESS_READ, ret_path);
        if (!r)
                r = rules_named(ruleset, abi, grants->write, grants->n_write, write, ret_path);
        if (!r && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
                r = -errno;
        return r;
}
