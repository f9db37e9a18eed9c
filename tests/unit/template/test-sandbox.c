/* SPDX-License-Identifier: Apache-2.0
 *
 * The layers one by one, each in a process of its own that says by its exit
 * status what it could do.
 */
#include <errno.h>
#include <asm/ioctls.h>
#include <asm/sockios.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/common/landlock.h"
#include "supervisor/template/sandbox.h"

/* The errno with which `attempt` fails under the filter; 0 = it works. */
static int under_filter_of(const struct sandbox *sandbox, uint32_t flags, int (*attempt)(void)) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if (sandbox_filter_load(sandbox, flags))
                        _exit(255);
                _exit(attempt());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* As root, where a worker's uid is its own, and Landlock knows of truncate. */
static int under_filter(uint32_t flags, int (*attempt)(void)) {
        const struct sandbox sandbox = { .enforced = ENFORCED_UIDS, .landlock_abi = 3 };

        return under_filter_of(&sandbox, flags, attempt);
}

static int under_rootless_filter(uint32_t flags, int (*attempt)(void)) {
        const struct sandbox sandbox = { .landlock_abi = 3 };

        return under_filter_of(&sandbox, flags, attempt);
}

static int result(long r) {
        return r < 0 ? errno : 0;
}

static int attempt_fork(void) {
        long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
                _exit(0);
        return result(pid);
}
static int attempt_new_user(void) {
        long pid = syscall(SYS_clone, SIGCHLD | 0x10000000 /* CLONE_NEWUSER */, 0, 0, 0, 0);

        if (pid == 0)
                _exit(0);
        return result(pid);
}
static int attempt_sibling(void) {
        long pid = syscall(SYS_clone, 0x8000 /* CLONE_PARENT */, 0, 0, 0, 0);

        if (pid == 0)
                _exit(0);
        return result(pid);
}
static int attempt_clone3(void) {
        return result(syscall(SYS_clone3, NULL, 0));
}
static int attempt_uring(void) {
        return result(syscall(SYS_io_uring_setup, 1, NULL));
}
static int attempt_socket(void) {
        return result(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int attempt_dgram_pair(void) {
        int fds[2];
        return result(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds));
}
static int attempt_reuseport(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        return result(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
}
static int attempt_linger(void) {
        const struct linger minute = { .l_onoff = 1, .l_linger = 60 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return result(setsockopt(fd, SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)));
}
/* Of the same level, and of another with the same number. */
static int attempt_other_options(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        int r = result(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
        return r ? r : result(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)));
}
static int attempt_seqpacket_pair(void) {
        int fds[2];
        return result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds));
}
static int attempt_kill_parent(void) {
        return result(kill(getppid(), 0));
}
static int attempt_raise(void) {
        return result(kill(getpid(), 0)) ?: result(syscall(SYS_tgkill, getpid(), gettid(), 0));
}
static int attempt_pdeathsig(void) {
        return result(prctl(PR_SET_PDEATHSIG, 0));
}
static int attempt_name(void) {
        return result(prctl(PR_SET_NAME, "other"));
}
static int attempt_dumpable(void) {
        return result(prctl(PR_SET_DUMPABLE, 1));
}
static int attempt_owner(void) {
        return result(fcntl(STDOUT_FILENO, F_SETOWN, getppid()));
}
static int attempt_owner_ex(void) {
        return result(fcntl(STDOUT_FILENO, F_SETOWN_EX, &(struct f_owner_ex){ F_OWNER_PID, getppid() }));
}
/* Not a socket, which only the kernel would find out. */
static int attempt_owner_ioctl(void) {
        int pid = getppid();
        return result(ioctl(STDOUT_FILENO, FIOSETOWN, &pid));
}
static int attempt_group_ioctl(void) {
        int pid = getppid();
        return result(ioctl(STDOUT_FILENO, SIOCSPGRP, &pid));
}
static int attempt_file_flags(void) {
        int fds[2], n;
        return result(pipe(fds)) ?: result(fcntl(fds[0], F_SETFD, FD_CLOEXEC)) ?: result(ioctl(fds[0], FIONREAD, &n));
}
static int attempt_inet_socket(void) {
        return result(socket(AF_INET, SOCK_STREAM, 0));
}
static cpu_set_t cpus;
static int attempt_own_affinity(void) {
        return result(sched_getaffinity(0, sizeof(cpus), &cpus)) ?: result(sched_setaffinity(0, sizeof(cpus), &cpus))
                       ?: result(sched_setaffinity(getpid(), sizeof(cpus), &cpus));
}
static int attempt_parents_affinity(void) {
        return result(sched_getaffinity(0, sizeof(cpus), &cpus)) ?: result(sched_setaffinity(getppid(), sizeof(cpus), &cpus));
}
/* Files of the test's own folder, which is where it stands. */
static int attempt_truncate(void) {
        return result(truncate("package/data.txt", 0));
}
static int attempt_chmod(void) {
        return result(chmod("package/data.txt", 0644));
}
static int attempt_fchmodat(void) {
        return result(fchmodat(AT_FDCWD, "package/data.txt", 0644, 0));
}
static int attempt_utimensat(void) {
        return result(utimensat(AT_FDCWD, "package/data.txt", NULL, 0));
}
static int attempt_utimes(void) {
        return result(utimes("package/data.txt", NULL));
}
static int attempt_by_descriptor(void) {
        int fd = open("package/data.txt", O_RDWR | O_CLOEXEC);
        return result(fd) ?: result(fchmod(fd, 0644)) ?: result(futimens(fd, NULL)) ?: result(ftruncate(fd, 0));
}
static int attempt_open_up(void) {
        int fd = open("package/data.txt", O_RDONLY | O_CLOEXEC);
        return result(fd) ?: result(fchmod(fd, 0666));
}
static int attempt_set_uid(void) {
        int fd = open("package/data.txt", O_RDWR | O_CLOEXEC);
        return result(fd) ?: result(fchmod(fd, 04700));
}
static int attempt_create_set_uid(void) {
        return result(open("package/new", O_RDWR | O_CREAT | O_CLOEXEC, 04700)) ?: result(unlink("package/new"));
}
static int attempt_create(void) {
        return result(open("package/new", O_RDWR | O_CREAT | O_CLOEXEC, 0666)) ?: result(unlink("package/new"));
}
static int attempt_own_limit(void) {
        struct rlimit limit;
        return result(getrlimit(RLIMIT_CORE, &limit));
}
static int attempt_parents_limit(void) {
        return result(prlimit(getppid(), RLIMIT_CORE, NULL, &(struct rlimit){ 0 }));
}

static void test_filter_refuses(void **state) {
        assert_int_equal(under_filter(0, attempt_fork), EPERM);
        assert_int_equal(under_filter(0, attempt_clone3), ENOSYS);
        assert_int_equal(under_filter(0, attempt_uring), EPERM);
        assert_int_equal(under_filter(0, attempt_socket), EPERM);
        assert_int_equal(under_filter(0, attempt_dgram_pair), EPERM);
        assert_int_equal(under_filter(0, attempt_kill_parent), EPERM);
        assert_int_equal(under_filter(0, attempt_pdeathsig), EPERM);
        assert_int_equal(under_filter(0, attempt_parents_limit), EPERM);
}

static void test_filter_leaves_the_rest(void **state) {
        assert_int_equal(under_filter(0, attempt_seqpacket_pair), 0);
        assert_int_equal(under_filter(0, attempt_raise), 0);
        assert_int_equal(under_filter(0, attempt_name), 0);
        assert_int_equal(under_filter(0, attempt_own_limit), 0);
}

static void test_filter_keeps_files_without_owner(void **state) {
        int (*const attempts[])(void) = { attempt_owner, attempt_owner_ex, attempt_owner_ioctl, attempt_group_ioctl };

        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
                for (uint32_t flags = 0; flags < 8; flags++) {
                        assert_int_equal(under_filter(flags, attempts[i]), EPERM);
                        assert_int_equal(under_rootless_filter(flags, attempts[i]), EPERM);
                }
        assert_int_equal(under_filter(0, attempt_file_flags), 0);
}

static void test_filter_keeps_it_undumpable(void **state) {
        assert_int_equal(under_filter(0, attempt_dumpable), EPERM);
        assert_int_equal(under_rootless_filter(FORK_PROCESSES, attempt_dumpable), EPERM);
}

/* Where the uid is one's own, what is others' is out of reach by itself. */
static void test_filter_rootless(void **state) {
        int (*const attempts[])(void) = { attempt_chmod,   attempt_fchmodat, attempt_utimensat,
                                          attempt_utimes,  attempt_truncate, attempt_parents_affinity,
                                          attempt_open_up, attempt_set_uid,  attempt_create_set_uid };

        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
                assert_int_equal(under_filter(0, attempts[i]), 0);
                assert_int_equal(under_rootless_filter(0, attempts[i]), EPERM);
        }
        assert_int_equal(under_rootless_filter(0, attempt_by_descriptor), 0);
        assert_int_equal(under_rootless_filter(0, attempt_create), 0);
        assert_int_equal(under_rootless_filter(0, attempt_own_affinity), 0);
        assert_int_equal(under_rootless_filter(FORK_NETWORK_HOST, attempt_inet_socket), 0);
        assert_int_equal(under_rootless_filter(FORK_NETWORK_HOST, attempt_socket), EPERM);
        assert_int_equal(under_rootless_filter(FORK_NETWORK_HOST, attempt_dgram_pair), EPERM);
        assert_int_equal(under_rootless_filter(FORK_NETWORK_HOST, attempt_linger), EPERM);
        assert_int_equal(under_rootless_filter(FORK_NETWORK_HOST, attempt_other_options), 0);
        assert_int_equal(under_rootless_filter(FORK_NETWORK_HOST, attempt_reuseport), EPERM);
        assert_int_equal(under_filter(FORK_NETWORK_HOST, attempt_reuseport), 0);
        assert_int_equal(under_filter(FORK_NETWORK_HOST, attempt_dgram_pair), 0);
}

/* Linux 6.1 has the second ABI, which does not know of it. */
static void test_filter_truncate_without_landlock(void **state) {
        const struct sandbox old = { .enforced = ENFORCED_UIDS, .landlock_abi = 2 };

        assert_int_equal(under_filter_of(&old, 0, attempt_truncate), EPERM);
        assert_int_equal(under_filter_of(&old, 0, attempt_by_descriptor), 0);
}

static void test_filter_flags(void **state) {
        assert_int_equal(under_filter(FORK_PROCESSES, attempt_fork), 0);
        assert_int_equal(under_filter(FORK_PROCESSES, attempt_new_user), EPERM);
        assert_int_equal(under_filter(FORK_PROCESSES, attempt_sibling), EPERM);
        assert_int_equal(under_filter(FORK_PROCESSES, attempt_clone3), ENOSYS);
        assert_int_equal(under_filter(FORK_NETWORK_HOST, attempt_socket), 0);
        /* Whoever has no network has no such socket. */
        assert_int_equal(under_filter(FORK_NETWORK_HOST, attempt_linger), EPERM);
        assert_int_equal(under_filter(FORK_NETWORK_HOST, attempt_other_options), 0);
        for (uint32_t flags = 0; flags < 16; flags++)
                assert_int_equal(under_filter(flags, attempt_uring), EPERM);
}

static void test_filter_fits(void **state) {
        const struct sandbox sandboxes[] = { { .enforced = ENFORCED_UIDS, .landlock_abi = 3 }, { .enforced = ENFORCED_UIDS }, { 0 } };
        struct sock_filter code[SANDBOX_FILTER_MAX];

        for (size_t i = 0; i < 3; i++)
                for (uint32_t flags = 0; flags < 8; flags++)
                        assert_in_range(sandbox_filter_build(&sandboxes[i], flags, 1, code), 20, SANDBOX_FILTER_MAX);
}

/* What reads of files give under Landlock: a bit for each that works. */
enum { PASSWD = 1, PACKAGE = 2, WORK = 4, GRANTED = 8, PACKAGE_WRITE = 16, LIBRARY = 32, DATA = 64 };

static bool opens(const char *path, int flags) {
        int fd = open(path, flags, 0600);

        return fd >= 0 && close(fd) == 0;
}

static int landlocked(const char *granted) {
        struct sandbox sandbox;
        struct sandbox_grants grants = { .read = &granted, .n_read = granted ? 1 : 0 };
        const char *path;
        int status;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                sandbox_init(&sandbox);
                sandbox.landlock_abi = landlock_probe();
                sandbox_landlock_prepare(&sandbox);
                grants.package = open("package", O_PATH | O_DIRECTORY | O_CLOEXEC);
                grants.work = open("work", O_PATH | O_DIRECTORY | O_CLOEXEC);
                grants.data = open("data", O_PATH | O_DIRECTORY | O_CLOEXEC);
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if (sandbox_landlock_apply(&sandbox, &grants, &path))
                        _exit(path ? 200 : 201);
                _exit((opens("/etc/passwd", O_RDONLY) ? PASSWD : 0) | (opens("package/data.txt", O_RDONLY) ? PACKAGE : 0) |
                      (opens("work/file", O_WRONLY | O_CREAT) ? WORK : 0) | (granted && opens(granted, O_RDONLY) ? GRANTED : 0) |
                      (opens("package/data.txt", O_WRONLY) ? PACKAGE_WRITE : 0) | (opens("/usr/bin/env", O_RDONLY) ? LIBRARY : 0) |
                      (opens("data/file", O_WRONLY | O_CREAT) ? DATA : 0));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int enter_folder(void **state) {
        static char path[32];
        int fd;

        strcpy(path, "/tmp/socle-test-sandbox.XXXXXX");
        if (!mkdtemp(path) || chdir(path) < 0 || mkdir("package", 0755) < 0 || mkdir("work", 0755) < 0 || mkdir("data", 0700) < 0)
                return -1;
        fd = open("package/data.txt", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        *state = path;
        return fd < 0 ? -1 : close(fd);
}

static int leave_folder(void **state) {
        unlink("package/data.txt");
        unlink("work/file");
        unlink("data/file");
        rmdir("data");
        rmdir("package");
        rmdir("work");
        return chdir("/") < 0 || rmdir(*state) < 0 ? -1 : 0;
}

static void test_landlock(void **state) {
        if (landlock_probe() == 0)
                skip();
        assert_int_equal(landlocked(NULL), PACKAGE | WORK | DATA | LIBRARY);
        assert_int_equal(landlocked("/etc/passwd"), PACKAGE | WORK | DATA | LIBRARY | PASSWD | GRANTED);
        /* One that is not there is named, not passed over. */
        assert_int_equal(landlocked("/nonexistent/path"), 200);
}

static void test_seccomp_list(void **state) {
        int status, fds[2];
        pid_t pid = fork();

        if (pid == 0) {
                if (sandbox_seccomp_load())
                        _exit(1);
                if (syscall(SYS_mount, NULL, NULL, NULL, 0, NULL) == 0 || errno != EPERM)
                        _exit(2);
                if (syscall(9999) == 0 || errno != ENOSYS)
                        _exit(3);
                if (socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0)
                        _exit(4);
                if (socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) < 0)
                        _exit(5);
                if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
                        _exit(6);
                /* The kernel would look the family up, and say that it makes no pairs. */
                if (socketpair(AF_INET, SOCK_STREAM, 0, fds) == 0 || errno != ENOSYS)
                        _exit(7);
                if (socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT) >= 0)
                        _exit(8);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* Not malloc: a sanitizer's ends the process when it is refused. */
static bool maps(size_t size) {
        return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static void test_data_limit_is_on_top_of_what_is_there(void **state) {
        struct control_fork_worker asked = { .limits = { .memory = 16 << 20, .files = 64 }, .memory_by_rlimit = 1 };
        struct sandbox sandbox = { 0 };
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                struct rlimit files;

                if (sandbox_rlimits_prepare(&sandbox) || sandbox_rlimits_apply(&sandbox, &asked) || getrlimit(RLIMIT_NOFILE, &files) ||
                    files.rlim_max != 64)
                        _exit(1);
                if (!maps(8 << 20))
                        _exit(2);
                if (maps(64 << 20))
                        _exit(3);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_filter_refuses),
                cmocka_unit_test(test_filter_leaves_the_rest),
                cmocka_unit_test(test_filter_keeps_files_without_owner),
                cmocka_unit_test(test_filter_keeps_it_undumpable),
                cmocka_unit_test_setup_teardown(test_filter_rootless, enter_folder, leave_folder),
                cmocka_unit_test_setup_teardown(test_filter_truncate_without_landlock, enter_folder, leave_folder),
                cmocka_unit_test(test_filter_flags),
                cmocka_unit_test(test_filter_fits),
                cmocka_unit_test_setup_teardown(test_landlock, enter_folder, leave_folder),
                cmocka_unit_test(test_seccomp_list),
                cmocka_unit_test(test_data_limit_is_on_top_of_what_is_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
