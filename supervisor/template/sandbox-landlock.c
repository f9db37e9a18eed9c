/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock: which files a worker can reach at all, whatever its uid could.
 *
 * Everything is closed, then opened: its package (read), its work and data
 * folders (write), the system's libraries and data under /usr, a few files of /etc,
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
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/common/landlock.h"

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_RUN (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* What a rule about a file, as opposed to a folder, may contain. */
#define ACCESS_OF_FILE                                                                                                                     \
        (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV)

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
        { "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_TRUNCATE },
        { "/dev/zero", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/dev/random", LANDLOCK_ACCESS_FS_READ_FILE },
};

/* network = host: what the C library's resolver reads. */
static const char *const resolver_paths[] = {
        "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
};

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

/* A path of the settings: it must be there, because somebody asked for it by name. */
static int rule_add_named(int ruleset, int abi, const char *path, uint64_t access) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return landlock_allow(ruleset, abi, fd, S_ISDIR(st.st_mode) ? access : access & ACCESS_OF_FILE);
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
                int r = landlock_allow(ruleset, sandbox->landlock_abi, sandbox->paths[i].fd, sandbox->paths[i].access);

                if (r)
                        return r;
        }
        return 0;
}

static int rules_own(int ruleset, int abi, const struct sandbox_grants *grants, uint64_t write) {
        int r = 0;

        if (grants->package >= 0)
                r = landlock_allow(ruleset, abi, grants->package, ACCESS_RUN);
        if (!r && grants->work >= 0)
                r = landlock_allow(ruleset, abi, grants->work, write);
        if (!r && grants->data >= 0)
                r = landlock_allow(ruleset, abi, grants->data, write);
        return r;
}

int sandbox_landlock_apply(const struct sandbox *sandbox, const struct sandbox_grants *grants, const char **ret_path) {
        int abi = sandbox->landlock_abi, r;
        /* Nothing that can be written can be run, no device is made. */
        uint64_t write = landlock_access_all(abi) & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_DEVICES);
        _cleanup_close_ int ruleset = -1;

        *ret_path = NULL;
        ruleset = landlock_new(abi, !grants->network_host);
        if (ruleset < 0)
                return ruleset;
        r = rules_inherited(ruleset, sandbox, grants->network_host);
        if (!r)
                r = rules_own(ruleset, abi, grants, write);
        if (!r)
                r = rules_named(ruleset, abi, grants->read, grants->n_read, ACCESS_READ, ret_path);
        if (!r)
                r = rules_named(ruleset, abi, grants->write, grants->n_write, write, ret_path);
        return r ? r : landlock_enter(ruleset);
}
