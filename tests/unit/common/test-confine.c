/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: the table, what it does to a process that takes it on, and
 * docs/security.md, which is the table. argv: that file, or --print: what ought
 * to stand there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/sanitizers.h"
#include "supervisor/common/confine-text.h"
#include "supervisor/common/confine.h"
#include "supervisor/common/landlock.h"

static const char *security_md;

/* The table ---------------------------------------------------------------------------------------------------------- */

static void test_every_line_has_a_reason(void **state) {
        for (unsigned i = 0; i < n_confine_lines; i++) {
                const struct confine_line *line = &confine_lines[i];

                assert_true(strlen(line->why) > 3 && line->why[strlen(line->why) - 1] != '.');
                /* A role's own line comes first, and once. */
                assert_int_equal(line->kind == CONFINE_ROLE, !i || line->role != confine_lines[i - 1].role);
                for (unsigned k = 0; k < i; k++)
                        assert_false(confine_lines[k].role == line->role && !strcmp(confine_lines[k].what, line->what));
        }
}

/* What it does ------------------------------------------------------------------------------------------------------- */

struct attempt {
        const char *what;
        int (*run)(void);
        int refused; /* errno, 0: it must work */
};

static int try_open(void) {
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static int try_socket(void) {
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int try_fork(void) {
        long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
                _exit(0);
        return (int)pid;
}

static int try_fork_apart(void) {
        return (int)syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0);
}

/* Of whom nobody has heard: every library of nsswitch.conf is asked. */
static int try_groups(void) {
        getgrnam("socle-test-no-such-group");
        return 0;
}

static int try_exec(void) {
        return execl("/bin/true", "true", (char *)NULL);
}

static int map(int protection) {
        return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int try_map_code(void) {
        return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_map(void) {
        return map(PROT_READ | PROT_WRITE);
}

static int try_kill(void) {
        return kill(getppid(), 0);
}

static int try_unshare(void) {
        return unshare(CLONE_NEWUSER);
}

static int try_memfd(void) {
        return memfd_create("m", MFD_CLOEXEC);
}

static int folder; /* the one that is handed over */

static int try_create(void) {
        return openat(folder, "made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static int try_remove(void) {
        return unlinkat(folder, "made", 0);
}

static int try_create_elsewhere(void) {
        return open("/tmp/socle-test-confine-elsewhere", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

/* 0, or the number of the attempt that went another way, from 1. */
static int attempts_in_child(enum confine_role role, const struct role_handover *handover, const struct attempt *attempts, size_t n) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine(role, handover, handover ? 1 : 0, &(uint32_t){ 0 }) < 0)
                        _exit(99);
                for (size_t i = 0; i < n; i++) {
                        int r;

                        errno = 0;
                        r = attempts[i].run();
                        if (attempts[i].refused ? r >= 0 || errno != attempts[i].refused : r < 0)
                                _exit((int)i + 1);
                }
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static void check_went(int went, const struct attempt *attempts, size_t n) {
        if (went)
                fail_msg("%s", (size_t)went <= n ? attempts[went - 1].what : "confine() failed");
}

static void check_calls(enum confine_role role, const struct attempt *attempts, size_t n) {
        if (WITH_ASAN || WITH_TSAN) /* confine() leaves the list of calls out there */
                skip();
        check_went(attempts_in_child(role, NULL, attempts, n), attempts, n);
}

static void test_a_gateway_can_do_nothing_but_serve(void **state) {
        static const struct attempt attempts[] = {
                { "map memory", try_map, 0 },        { "make a memory file", try_memfd, 0 },
                { "open a file", try_open, ENOSYS }, { "make a socket", try_socket, ENOSYS },
                { "fork", try_fork, ENOSYS },        { "exec", try_exec, ENOSYS },
                { "map code", try_map_code, EPERM }, { "signal others", try_kill, ENOSYS },
                { "unshare", try_unshare, ENOSYS },
        };

        check_calls(CONFINE_GATEWAY, attempts, N_ELEMENTS(attempts));
}

static int try_bpf(void) {
        return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int try_mount(void) {
        return mount("none", "/tmp", "tmpfs", 0, NULL);
}

/* A copy of a mount that can be written to, without mounting it: Linux 6.15. */
static int try_copy_mount(void) {
        return (int)syscall(467, AT_FDCWD, "/tmp", 1, NULL, 0);
}

static int try_quota(void) {
        return (int)syscall(SYS_quotactl_fd, -1, 0, 0, NULL);
}

static int try_trace(void) {
        return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) < 0 ? -1 : 0;
}

static int try_namespace_of_another(void) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/ns/mnt", getppid());
        return open(path, O_RDONLY | O_CLOEXEC);
}

static int try_memory_of_another(void) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
        return open(path, O_RDWR | O_CLOEXEC);
}

static int try_device(void) {
        return mknod("/tmp/socle-test-confine-device", S_IFCHR | 0600, makedev(1, 3));
}

static int try_move(void) {
        char from[] = "/tmp/socle-test-confine-from-XXXXXX", to[64];
        int fd = mkstemp(from), r;

        close(fd);
        snprintf(to, sizeof(to), "%s.d", from);
        mkdir(to, 0700);
        strcat(to, "/x");
        r = rename(from, to);
        unlink(r ? from : to);
        to[strlen(to) - 2] = '\0';
        rmdir(to);
        return r;
}

static int try_open_child(void) {
        char path[64];
        pid_t pid = fork();
        int fd;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        snprintf(path, sizeof(path), "/proc/%d/mem", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return fd;
}

static void test_a_base_stays_among_its_own(void **state) {
        static const struct attempt attempts[] = {
                { "fork, and look at the child", try_open_child, 0 },
                { "open a file", try_open, 0 },
                { "move a file", try_move, 0 },
                { "look for a namespace", try_namespace_of_another, EACCES },
                { "open the memory of another", try_memory_of_another, EACCES },
                { "mount", try_mount, EPERM },
                { "copy a mount with other attributes", try_copy_mount, EPERM },
                { "set a quota by descriptor", try_quota, EPERM },
                { "trace another", try_trace, EPERM },
                { "load a program into the kernel", try_bpf, EPERM },
        };
        static const struct attempt devices[] = { { "make a device", try_device, EACCES } };

        if (landlock_probe() < 2)
                skip();
        check_calls(CONFINE_BASE, attempts, N_ELEMENTS(attempts));
        if (geteuid() == 0)
                check_calls(CONFINE_BASE, devices, N_ELEMENTS(devices));
}

static int try_epoll(void) {
        return epoll_ctl(-1, EPOLL_CTL_DEL, -1, NULL);
}

static int try_ring(void) {
        return (int)syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0);
}

static int try_new_ring(void) {
        char params[120] = { 0 };

        return (int)syscall(SYS_io_uring_setup, 1, params);
}

static void test_a_gateway_has_one_loop(void **state) {
        static const struct attempt epoll[] = { { "epoll", try_epoll, EBADF },
                                                { "a ring", try_ring, ENOSYS },
                                                { "a new ring", try_new_ring, ENOSYS } };
        static const struct attempt ring[] = { { "epoll", try_epoll, ENOSYS },
                                               { "a ring", try_ring, EBADF },
                                               { "a new ring", try_new_ring, ENOSYS } };

        confine_with(CONFINE_WITH_EPOLL);
        check_calls(CONFINE_GATEWAY, epoll, N_ELEMENTS(epoll));
        confine_with(CONFINE_WITH_URING);
        check_calls(CONFINE_GATEWAY, ring, N_ELEMENTS(ring));
}

static void *thread_run(void *unused) {
        return NULL;
}

static int try_thread(void) {
        pthread_t thread;
        int r = pthread_create(&thread, NULL, thread_run, NULL);

        errno = r;
        return r ? -1 : pthread_join(thread, NULL);
}

static int try_inet(void) {
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int try_run_what_is_read(void) {
        return map(PROT_READ | PROT_EXEC);
}

static int try_limit_others(void) {
        return prlimit(getppid(), RLIMIT_NOFILE, NULL, &(struct rlimit){ 0 });
}

static void test_a_manager_starts_no_process_and_has_no_network(void **state) {
        static const struct attempt attempts[] = {
                { "start a thread", try_thread, 0 },
                { "make a socket of the machine", try_socket, 0 },
                { "run what nobody can write", try_run_what_is_read, 0 },
                { "map code that can be written", try_map_code, EPERM },
                { "make a socket of the network", try_inet, EPERM },
                { "fork", try_fork, EPERM },
                { "exec", try_exec, ENOSYS },
                { "signal others", try_kill, ENOSYS },
                { "unshare", try_unshare, ENOSYS },
                { "look up groups", try_groups, 0 },
        };

        check_calls(CONFINE_MANAGER, attempts, N_ELEMENTS(attempts));
}

static void test_an_installer_forks_and_runs_nothing(void **state) {
        static const struct attempt attempts[] = {
                { "fork", try_fork, 0 },
                { "exec", try_exec, ENOSYS },
                { "fork into a namespace", try_fork_apart, EPERM },
                { "make a socket", try_socket, ENOSYS },
                { "map code", try_map_code, EPERM },
                { "limit others", try_limit_others, EPERM },
                { "unshare", try_unshare, ENOSYS },
        };

        check_calls(CONFINE_INSTALLER, attempts, N_ELEMENTS(attempts));
}

static void check_files(enum confine_role role, enum handover what, const struct attempt *attempts, size_t n) {
        char path[] = "/tmp/socle-test-confine-XXXXXX";
        struct role_handover handover = { .what = what };
        int went;

        if (!landlock_probe())
                skip();
        assert_non_null(mkdtemp(path));
        handover.fd = folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(folder >= 0);
        went = attempts_in_child(role, &handover, attempts, n);
        unlinkat(folder, "made", 0);
        close(folder);
        rmdir(path);
        check_went(went, attempts, n);
}

static void test_an_installer_has_its_folder(void **state) {
        static const struct attempt attempts[] = {
                { "make a file", try_create, 0 },
                { "remove a file", try_remove, 0 },
                { "make a file elsewhere", try_create_elsewhere, EACCES },
                { "read a file elsewhere", try_open, EACCES },
        };

        check_files(CONFINE_INSTALLER, HANDOVER_PACKAGES, attempts, N_ELEMENTS(attempts));
}

static void test_a_manager_writes_its_folders_and_reads_what_is_named(void **state) {
        static const struct attempt writes[] = {
                { "make a file", try_create, 0 },
                { "remove a file", try_remove, 0 },
                { "make a file elsewhere", try_create_elsewhere, EACCES },
                { "read /etc", try_open, 0 },
        };
        static const struct attempt lists[] = { { "make a file where it may look", try_create, EACCES } };

        check_files(CONFINE_MANAGER, HANDOVER_STATE, writes, N_ELEMENTS(writes));
        check_files(CONFINE_MANAGER, HANDOVER_DROP, lists, N_ELEMENTS(lists));
}

/* The page ----------------------------------------------------------------------------------------------------------- */

static void print(FILE *out) {
        const char *program = "";

        fputs("| process | may | why |\n|---|---|---|\n", out);
        for (unsigned i = 0, next; i < n_confine_lines; i = next) {
                if (confine_lines[i].kind == CONFINE_ROLE)
                        program = confine_lines[i].what;
                fprintf(out, "| `%s` | ", program);
                next = confine_text(i, "`", out);
                fprintf(out, " | %s |\n", confine_lines[i].why);
        }
}

static void test_the_page_is_the_table(void **state) {
        _cleanup_free_ char *text = calloc(1, 1 << 20), *wanted = NULL;
        FILE *f = fopen(security_md, "re"), *out;
        size_t size;

        assert_non_null(f);
        assert_non_null(text);
        assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
        fclose(f);
        out = open_memstream(&wanted, &size);
        assert_non_null(out);
        print(out);
        fclose(out);
        if (!strstr(text, wanted) || strstr(text, wanted)[size] == '|')
                fail_msg("%s: the table of who may do what is another (test-confine --print prints it)", security_md);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_line_has_a_reason),
                cmocka_unit_test(test_a_base_stays_among_its_own),
                cmocka_unit_test(test_a_gateway_can_do_nothing_but_serve),
                cmocka_unit_test(test_a_gateway_has_one_loop),
                cmocka_unit_test(test_a_manager_starts_no_process_and_has_no_network),
                cmocka_unit_test(test_an_installer_forks_and_runs_nothing),
                cmocka_unit_test(test_an_installer_has_its_folder),
                cmocka_unit_test(test_a_manager_writes_its_folders_and_reads_what_is_named),
                cmocka_unit_test(test_the_page_is_the_table),
        };

        if (argc == 2 && !strcmp(argv[1], "--print")) {
                print(stdout);
                return 0;
        }
        if (argc != 2) {
                fprintf(stderr, "usage: test-confine docs/security.md | --print\n");
                return 2;
        }
        security_md = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
