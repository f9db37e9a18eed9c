/* SPDX-License-Identifier: Apache-2.0
 *
 * socle-check-host, which `socled --check-host` becomes: tries what the table
 * ipc/host.def names, the way the base and the template do it, and prints a line
 * for each. Status 1: a layer is missing, or what nothing runs without.
 *
 * Nothing is guessed from a version of the kernel: what can be tried is tried,
 * in a child where it would change this process, and the group that is made for
 * it is removed again. Only where the kernel has a setting that somebody chose,
 * the setting is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/host.h"
#include "ipc/memfd.h"
#include "supervisor/base/cgroup.h"
#include "supervisor/base/instances.h"
#include "supervisor/base/uids.h"
#include "supervisor/common/log.h"
#include "supervisor/common/uring.h"

#define LANDLOCK_VERSION_FLAG 1 /* of landlock_create_ruleset() */
#define LANDLOCK_SCOPES_ABI 6
#define HAVE_SIZE 160

struct check {
        bool root;
        struct cgroup cgroup;
        char have[HAVE_SIZE]; /* what there is, of the row that is looked at */
};

static void have(struct check *c, const char *format, ...) _printf_(2, 3);
static void have(struct check *c, const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(c->have, sizeof(c->have), format, args);
        va_end(args);
}

static bool have_errno(struct check *c, int error) {
        have(c, "%s", error ? strerrordesc_np(error) : "yes");
        return !error;
}

/* A child for what would change us: its errno. */
static int in_child(int (*run)(void)) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                errno = 0;
                _exit(run() < 0 ? errno : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : ENOSYS; /* killed by a filter, say */
}

static void setting(struct check *c, const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, c->have, sizeof(c->have) - 1);

        if (n < 0) {
                have(c, "no setting");
                return;
        }
        c->have[n] = '\0';
        c->have[strcspn(c->have, "\n")] = '\0';
}

/* Layers ----------------------------------------------------------------------------------------------------------- */

static int unshare_user(void) {
        return unshare(CLONE_NEWUSER);
}

static int unshare_network(void) {
        return unshare(CLONE_NEWUSER) < 0 ? -1 : unshare(CLONE_NEWNET);
}

static int unshare_pids(void) {
        return unshare(CLONE_NEWPID | (geteuid() ? CLONE_NEWUSER : 0));
}

static int refuse_privileges(void) {
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int limit_cores(void) {
        const struct rlimit limit = { 1, 1 };

        return setrlimit(RLIMIT_CORE, &limit);
}

static bool as_root(struct check *c, int (*run)(void)) {
        if (c->root)
                return have_errno(c, in_child(run));
        have(c, "not used: rootless");
        return false;
}

static bool check_UIDS(struct check *c) {
        have(c, c->root ? "root" : "rootless, uid %u", geteuid());
        return c->root;
}

static bool check_USERNS(struct check *c) {
        return as_root(c, unshare_user);
}

static bool check_NETNS(struct check *c) {
        return as_root(c, unshare_network);
}

static long landlock_abi(void) {
        return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
}

static bool check_LANDLOCK(struct check *c) {
        long abi = landlock_abi();

        if (abi < 0)
                return have_errno(c, errno);
        have(c, "ABI %ld", abi);
        return true;
}

static bool check_SECCOMP(struct check *c) {
        uint32_t action = SECCOMP_RET_ERRNO;

        return have_errno(c, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? errno : 0);
}

static bool check_CGROUP(struct check *c) {
        if (c->cgroup.enforced & ENFORCED_CGROUP)
                have(c, "%s", c->cgroup.delegated ? "delegated by systemd" : "writable where this runs");
        else
                have(c, "none that can be written");
        return c->cgroup.enforced & ENFORCED_CGROUP;
}

static bool controller(struct check *c, uint32_t bit) {
        bool there = c->cgroup.enforced & bit;

        have(c, "%s", there ? "yes" : c->cgroup.enforced & ENFORCED_CGROUP ? "the group has no such controller" : "no group");
        return there;
}

static bool check_CGROUP_MEMORY(struct check *c) {
        return controller(c, ENFORCED_CGROUP_MEMORY);
}

static bool check_CGROUP_PIDS(struct check *c) {
        return controller(c, ENFORCED_CGROUP_PIDS);
}

static bool check_CGROUP_CPU(struct check *c) {
        return controller(c, ENFORCED_CGROUP_CPU);
}

static bool check_NO_NEW_PRIVS(struct check *c) {
        return have_errno(c, in_child(refuse_privileges));
}

static bool check_RLIMITS(struct check *c) {
        return have_errno(c, in_child(limit_cores));
}

static bool check_PIDNS(struct check *c) {
        return have_errno(c, in_child(unshare_pids));
}

/* What nothing runs without ---------------------------------------------------------------------------------------- */

static bool check_CLONE(struct check *c) {
        _cleanup_close_ int leaf = c->cgroup.workers_fd < 0 ? -1 : cgroup_leaf_new(&c->cgroup, "check", geteuid());
        int pidfd = -1, error;
        struct clone_args args = {
                .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (leaf < 0 ? 0 : CLONE_INTO_CGROUP),
                .pidfd = (uintptr_t)&pidfd,
                .exit_signal = SIGCHLD,
                .cgroup = leaf < 0 ? 0 : (uint64_t)leaf,
        };
        long pid = syscall(SYS_clone3, &args, sizeof(args));

        if (pid == 0)
                _exit(0);
        error = pid < 0 ? errno : 0;
        if (pid > 0)
                waitpid((pid_t)pid, NULL, 0);
        fd_close(pidfd);
        if (error)
                return have_errno(c, error);
        have(c, "%s", leaf < 0 ? "yes; without a group to be born in" : "yes, with CLONE_INTO_CGROUP");
        return true;
}

static bool check_TID_ADDRESS(struct check *c) {
        int *address = NULL;

        return have_errno(c, prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) < 0 ? errno : 0);
}

static bool check_PIDFD(struct check *c) {
        _cleanup_close_ int fd = pidfd_open(getpid(), 0);
        siginfo_t info;

        /* We are no child of ours: a kernel that knows the question says so. */
        if (fd < 0 || (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 && errno != ECHILD))
                return have_errno(c, errno);
        return have_errno(c, pidfd_send_signal(fd, 0, NULL, 0) < 0 ? errno : 0);
}

static bool check_SEALS(struct check *c) {
        _cleanup_close_ int fd = memfd_new("socle-check", 4096);

        if (fd < 0)
                return have_errno(c, -fd);
        return have_errno(c, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0 ? errno : 0);
}

/* What the administrator may want to know -------------------------------------------------------------------------- */

static bool check_NOEXEC(struct check *c) {
        char policy[HAVE_SIZE];

        setting(c, "/proc/sys/vm/memfd_noexec");
        memcpy(policy, c->have, sizeof(policy));
        if (!strcmp(policy, "no setting"))
                return have_errno(c, ENOSYS);
        have(c, "yes; vm.memfd_noexec is %.8s", policy);
        return true;
}

static bool check_SCOPES(struct check *c) {
        long abi = landlock_abi();

        have(c, "ABI %ld; they are there from %d on", abi < 0 ? 0 : abi, LANDLOCK_SCOPES_ABI);
        return abi >= LANDLOCK_SCOPES_ABI;
}

static bool check_IO_URING(struct check *c) {
        const char *why = "yes";
        bool works = uring_try(&why) >= 0;

        have(c, "%s", why);
        return works;
}

static bool check_USERS(struct check *c) {
        static const struct {
                const char *name;
                enum uids_role role;
        } users[] = { { "socle", UIDS_MANAGER }, { "socle-pkg", UIDS_INSTALLER }, { "socle-gw", UIDS_GATEWAY } };
        unsigned n = 0;

        for (size_t i = 0; i < N_ELEMENTS(users); i++)
                n += uids_role(true, UIDS_DEFAULT_BASE, users[i].role) != UIDS_DEFAULT_BASE + (uid_t)users[i].role;
        have(c, "%u of %zu", n, N_ELEMENTS(users));
        return n == N_ELEMENTS(users);
}

static bool check_FILES(struct check *c) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return have_errno(c, errno);
        have(c, "%llu: %llu workers", (unsigned long long)limit.rlim_max,
             (unsigned long long)MIN(limit.rlim_max / INSTANCE_FDS, (rlim_t)INSTANCES_MAX));
        return limit.rlim_max / INSTANCE_FDS >= INSTANCES_MAX;
}

static bool check_CORE_PATTERN(struct check *c) {
        setting(c, "/proc/sys/kernel/core_pattern");
        return true;
}

static bool check_PTRACE(struct check *c) {
        setting(c, "/proc/sys/kernel/yama/ptrace_scope");
        return c->root || (c->have[0] >= '1' && c->have[0] <= '3');
}

static bool check_OVERCOMMIT(struct check *c) {
        setting(c, "/proc/sys/vm/overcommit_memory");
        return c->have[0] != '2';
}

static bool (*const checks[N_HOST_ROWS])(struct check *c) = {
#define LAYER(id, name, need, without, fix) [HOST_##id] = check_##id,
#define NEED(id, weight, name, need, without, fix) [HOST_##id] = check_##id,
#include "ipc/host.def"
};

/* The lines -------------------------------------------------------------------------------------------------------- */

static const char *verdict(const struct host_info *row, bool there) {
        return there ? "ok" : row->weight == HOST_ADVICE ? "advice" : "MISSING";
}

static void print_line(FILE *out, const struct host_info *row, bool there, const char *what) {
        fprintf(out, "%-8s%-18s have: %s; need: %s", verdict(row, there), row->name, what, row->need);
        if (!there && strcmp(row->without, "none") != 0)
                fprintf(out, "; instead: %s", row->without);
        if (!there)
                fprintf(out, "; fix: %s", row->fix);
        fputc('\n', out);
}

static void print_member(FILE *out, const char *name, const char *text, const char *behind) {
        fprintf(out, "\"%s\": \"", name);
        for (; *text; text++) {
                if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
                        fputc('?', out);
                else
                        fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
        }
        fprintf(out, "\"%s", behind);
}

static void print_json(FILE *out, const struct host_info *row, bool there, const char *what) {
        static const char *const weights[] = { [HOST_LAYER] = "layer", [HOST_REQUIRED] = "required", [HOST_ADVICE] = "advice" };

        fprintf(out, "%s{", row == host_rows ? "[" : ",\n ");
        print_member(out, "name", row->name, ", ");
        print_member(out, "kind", weights[row->weight], ", ");
        fprintf(out, "\"ok\": %s, ", there ? "true" : "false");
        print_member(out, "have", what, ", ");
        print_member(out, "need", row->need, ", ");
        print_member(out, "without", row->without, ", ");
        print_member(out, "fix", row->fix, row == host_rows + N_HOST_ROWS - 1 ? "}]\n" : "}");
}

/* The name of the group is made of a file's identity: an own one's, for as long as we need it. */
static void try_groups(struct check *c, int *ret_identity) {
        cgroup_init(&c->cgroup);
        *ret_identity = memfd_new("socle-check", 0);
        if (*ret_identity >= 0)
                cgroup_open(&c->cgroup, *ret_identity);
}

static bool check_host(FILE *out, bool json) {
        struct check c = { .root = geteuid() == 0 };
        _cleanup_close_ int identity = -1;
        bool all = true;

        try_groups(&c, &identity);
        for (size_t i = 0; i < N_HOST_ROWS; i++) {
                const struct host_info *row = &host_rows[i];
                bool there = checks[i](&c);

                all &= there || row->weight == HOST_ADVICE;
                fflush(out); /* before the next fork */
                if (json)
                        print_json(out, row, there, c.have);
                else
                        print_line(out, row, there, c.have);
                fflush(out);
        }
        cgroup_close(&c.cgroup);
        return all;
}

int main(int argc, char **argv) {
        log_begin("socled");
        return check_host(stdout, argc == 2 && !strcmp(argv[1], "--json")) ? EXIT_SUCCESS : EXIT_FAILURE;
}
