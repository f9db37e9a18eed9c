/* SPDX-License-Identifier: Apache-2.0
 *
 * What the child that unpacks can do, and what not. Each probe runs in a process
 * of its own, because there is no way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/installer/sandbox.h"
#include "tests/unit/conf/package-fixture.h"

#define FILE_MAX 100000

static struct sandbox sandbox;
static char path[64], outside[] = "/tmp/socle-outside-XXXXXX";
static int folder;

static int setup(void **state) {
        folder = folder_make(path);
        return sandbox_prepare(&sandbox);
}

static int teardown(void **state) {
        sandbox_deinit(&sandbox);
        close(folder);
        folder_remove(path);
        return 0;
}

/* The errno of the probe inside of the sandbox, 0 when it works, -1 when the process died. */
static int probe(int (*fn)(void)) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                int r;

                signal(SIGXFSZ, SIG_IGN);
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                r = sandbox_enter(&sandbox, folder, FILE_MAX);
                if (r)
                        _exit(200);
                errno = 0;
                _exit(fn() < 0 ? errno : 0);
        }
        assert_return_code(waitpid(pid, &status, 0), errno);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int create_in_folder(void) {
        char text[10] = "";
        int fd, sub;

        if (mkdirat(folder, "sub", 0755) < 0)
                return -1;
        sub = openat(folder, "sub", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        fd = openat(sub, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, "content", 7) != 7 || fchmod(fd, 0755) < 0)
                return -1;
        fd = openat(folder, "sub/file", O_RDONLY | O_CLOEXEC);
        return fd >= 0 && pread(fd, text, sizeof(text), 0) == 7 ? 0 : -1;
}

static int name_and_remove_in_folder(void) {
        int fd = openat(folder, "made", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0 || renameat2(folder, "made", folder, "named", RENAME_NOREPLACE) < 0)
                return -1;
        return unlinkat(folder, "named", 0);
}

static int heap(void) {
        char *p = malloc(64u << 20);

        if (!p)
                return -1;
        memset(p, 1, 64u << 20);
        free(p);
        return 0;
}

static int read_outside(void) {
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}
static int create_outside(void) {
        return open("/tmp/socle-escaped", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}
static int create_above(void) {
        return openat(folder, "../socle-escaped", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}
static int remove_outside(void) {
        return unlinkat(AT_FDCWD, outside, 0);
}
static int name_outside(void) {
        int fd = openat(folder, "moved", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        return fd < 0 ? fd : renameat2(folder, "moved", AT_FDCWD, "/tmp/socle-escaped", RENAME_NOREPLACE);
}
static int proc_self(void) {
        return open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}
static int symbolic_link(void) {
        return symlinkat("/etc/passwd", folder, "link");
}
static int network(void) {
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
static int unix_socket(void) {
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
static int new_process(void) {
        return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}
static int new_program(void) {
        char *args[] = { (char *)"true", NULL };

        return execv("/bin/true", args);
}
static int signal_parent(void) {
        return (int)syscall(SYS_kill, 1, 0);
}
static int io_uring(void) {
        return (int)syscall(SYS_io_uring_setup, 1, NULL);
}
static int executable_memory(void) {
        return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}
static int executable_later(void) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}
static int too_much_memory(void) {
        return mmap(NULL, 2ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}
static int too_large_file(void) {
        int fd = openat(folder, "large", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        return fd < 0 || lseek(fd, FILE_MAX, SEEK_SET) < 0 ? 0 : (int)write(fd, "x", 1);
}

static void test_what_it_needs(void **state) {
        assert_int_equal(probe(create_in_folder), 0);
        assert_int_equal(probe(name_and_remove_in_folder), 0);
        assert_int_equal(probe(heap), 0);
}

static void test_files_elsewhere(void **state) {
        if (!sandbox.landlock_abi)
                skip();
        assert_int_equal(probe(read_outside), EACCES);
        assert_int_equal(probe(create_outside), EACCES);
        assert_int_equal(probe(create_above), EACCES);
        close(mkstemp(outside));
        assert_int_equal(probe(remove_outside), EACCES);
        assert_return_code(unlink(outside), errno);
        assert_int_equal(probe(name_outside), EXDEV); /* as if it were another file system */
        assert_int_equal(probe(proc_self), EACCES);
}

static void test_calls(void **state) {
        static int (*const refused[])(void) = { symbolic_link, network,  unix_socket,       new_process,     new_program,
                                                signal_parent, io_uring, executable_memory, executable_later };

        for (size_t i = 0; i < N_ELEMENTS(refused); i++)
                assert_int_equal(probe(refused[i]), ENOSYS);
}

static void test_limits(void **state) {
        assert_int_equal(probe(too_much_memory), ENOMEM);
        assert_int_equal(probe(too_large_file), EFBIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_it_needs),
                cmocka_unit_test(test_files_elsewhere),
                cmocka_unit_test(test_calls),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
