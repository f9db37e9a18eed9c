/* SPDX-License-Identifier: Apache-2.0
 *
 * Resource limits: the ones that count for one process. What counts per uid
 * (RLIMIT_NPROC) is shared by all workers of a module: it stands in where the
 * host has no cgroup to count them one by one, and is then for all together.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ipc/cleanup.h"

/* Signals that wait, and timers: each of them holds kernel memory. Counted per uid, rootless that of everything you run. */
#define SIGPENDING_MAX 1024

/* Lowers a limit, soft and hard; one that is lower already stays. */
static int limit_lower(int which, rlim_t value) {
        struct rlimit limit;

        if (getrlimit(which, &limit) < 0)
                return -errno;
        if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
                value = limit.rlim_max;
        limit = (struct rlimit){ .rlim_cur = value, .rlim_max = value };
        return setrlimit(which, &limit) < 0 ? -errno : 0;
}

/* What is the same for all workers they inherit. */
static int limits_common(void) {
        int r;

        /* Not 0, with which a program named by core_pattern would still be given the dump; 1 stops either. */
        r = limit_lower(RLIMIT_CORE, 1);
        /* Not before the user namespace is there: what its maker may have is what all its uids may have together. */
        return r ? r : limit_lower(RLIMIT_SIGPENDING, SIGPENDING_MAX);
}

static int inherited_data_read(uint64_t *ret_size) {
        _cleanup_close_ int fd = -1;
        char text[128];
        uint64_t pages;
        ssize_t n;

        fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        /* size resident shared text lib data dt */
        if (sscanf(text, "%*u %*u %*u %*u %*u %" SCNu64, &pages) != 1)
                return -EBADMSG;
        *ret_size = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

int sandbox_rlimits_prepare(struct sandbox *sandbox) {
        int r = limits_common();

        return r ? r : inherited_data_read(&sandbox->inherited_data);
}

/* What the worker has inherited from the template is not charged to it. */
static int limit_data(uint64_t memory, uint64_t inherited) {
        return limit_lower(RLIMIT_DATA, memory > UINT64_MAX - inherited ? RLIM_INFINITY : memory + inherited);
}

int sandbox_rlimits_apply(const struct sandbox *sandbox, const struct control_fork_worker *asked) {
        const struct control_limits *limits = &asked->limits;
        int r = limits->files ? limit_lower(RLIMIT_NOFILE, limits->files) : 0;

        if (!r && limits->file_size)
                r = limit_lower(RLIMIT_FSIZE, limits->file_size);
        if (!r && asked->pids_by_rlimit && limits->user_pids)
                r = limit_lower(RLIMIT_NPROC, limits->user_pids);
        if (!r && asked->memory_by_rlimit && limits->memory)
                r = limit_data(limits->memory, sandbox->inherited_data);
        return r;
}
