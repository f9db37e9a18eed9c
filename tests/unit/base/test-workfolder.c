/* SPDX-License-Identifier: Apache-2.0
 *
 * Who empties a folder has the module's rights over files, and is not the
 * module's to end. As root; others have one uid for all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/base/base.h"
#include "supervisor/base/workfolder.h"

#define UID 4711

static int folder_of(int parent, const char *name, uid_t uid) {
        int fd;

        assert_int_equal(mkdirat(parent, name, 0700), 0);
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fchown(fd, uid, uid), 0);
        return fd;
}

static void file_of(int folder, const char *name, uid_t uid) {
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fchown(fd, uid, uid), 0);
}

/* What kill() answers to a process of the uid: errno or 0. */
static int signal_as(uid_t uid, pid_t to) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 ? 255 : kill(to, 0) < 0 ? errno : 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* Whether it has emptied root/name by the module's rights; whoever is not reaped can still be asked for. */
static bool is_cleaned(int root, const char *name) {
        struct base base = { .epoll_fd = loop_new() };
        struct job job = JOB_INIT;
        struct job_report report;
        siginfo_t info;

        assert_int_equal(work_clean(&base, &job, root, name, UID), 0);
        assert_int_equal(waitid(P_PID, (id_t)job.pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(signal_as(UID, job.pid), EPERM);
        job_wait(&base, &job, &report);
        fd_close(base.epoll_fd);
        return !report.error;
}

static void test_who_cleans(void **state) {
        char path[] = "/tmp/socle-test-work.XXXXXX", command[64];
        int root, work, others;

        if (geteuid())
                skip();
        assert_non_null(mkdtemp(path));
        root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        work = folder_of(root, "7", UID);
        file_of(work, "a", UID);
        assert_true(is_cleaned(root, "7"));
        assert_int_equal(unlinkat(root, "7", AT_REMOVEDIR), 0);
        fd_close(work);
        work = folder_of(root, "8", UID);
        others = folder_of(work, "others", 0); /* root's: nothing that the module could remove */
        file_of(others, "kept", 0);
        assert_false(is_cleaned(root, "8"));
        assert_int_equal(faccessat(others, "kept", F_OK, 0), 0);
        fd_close(others);
        fd_close(work);
        fd_close(root);
        snprintf(command, sizeof(command), "rm -rf %s", path);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): of the test's own folder */
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_who_cleans) };

        return cmocka_run_group_tests_name("workfolder", tests, NULL, NULL);
}
