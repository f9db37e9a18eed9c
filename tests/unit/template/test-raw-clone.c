/* SPDX-License-Identifier: Apache-2.0
 *
 * What raw clone3 means for the C library: a process in between plays the
 * template, its clone is a child of the test. The child's exit status names
 * the first check that failed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/template/raw-clone.h"

enum { ALL_WELL, NO_TID, OWNER, RELOCK, THREAD, ROBUST, PARENT };

static void *thread_main(void *arg) {
        *(int *)arg = 1;
        return NULL;
}

static int check_libc(void) {
        pthread_mutexattr_t attr;
        pthread_mutex_t mutex;
        pthread_t thread;
        void *robust = NULL;
        size_t size = 0;
        int ran = 0;

        pthread_mutexattr_init(&attr);
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
        pthread_mutex_init(&mutex, &attr);
        pthread_mutex_lock(&mutex);
        if (mutex.__data.__owner != gettid())
                return OWNER;
        if (pthread_mutex_lock(&mutex) != EDEADLK)
                return RELOCK;
        if (pthread_create(&thread, NULL, thread_main, &ran) || pthread_join(thread, NULL) || !ran)
                return THREAD;
        if (syscall(SYS_get_robust_list, 0, &robust, &size) || !robust)
                return ROBUST;
        return ALL_WELL;
}

/* A robust mutex in shared memory whose owner dies must be had by the next with EOWNERDEAD. */
static pthread_mutex_t *robust_mutex;

static void child_main(const struct libc_thread *thread, char what, pid_t parent) {
        if (libc_thread_adopt(thread))
                _exit(ROBUST);
        if (getppid() != parent)
                _exit(PARENT);
        if (what == 'a')
                abort();
        if (what == 'r') {
                pthread_mutex_lock(robust_mutex);
                _exit(ALL_WELL);
        }
        _exit(check_libc());
}

static void between(char what, int to) {
        struct libc_thread thread;
        pid_t parent = getppid(), pid;
        int pidfd = -1;

        if (libc_thread_read(&thread))
                _exit(1);
        pid = worker_clone(&thread, -1, &pidfd);
        if (pid == 0)
                child_main(&thread, what, parent);
        if (pid < 0 || pidfd < 0 || write(to, &pid, sizeof(pid)) != sizeof(pid))
                _exit(1);
        _exit(0);
}

/* The clone's end, as its parent, which we are, sees it. */
static int run(char what) {
        int pipe_fds[2], status;
        pid_t middle, pid;

        assert_int_equal(pipe(pipe_fds), 0);
        middle = fork();
        if (middle == 0)
                between(what, pipe_fds[1]);
        assert_int_equal(read(pipe_fds[0], &pid, sizeof(pid)), sizeof(pid));
        assert_int_equal(waitpid(middle, &status, 0), middle);
        assert_int_equal(status, 0);
        assert_int_equal(waitpid(pid, &status, __WALL), pid);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        return status;
}

static void test_libc_is_whole(void **state) {
        int status = run('c');

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), ALL_WELL);
}

static void test_abort_is_sigabrt(void **state) {
        int status = run('a');

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_robust_mutex_of_the_dead(void **state) {
        pthread_mutexattr_t attr;

        robust_mutex = mmap(NULL, sizeof(*robust_mutex), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(robust_mutex, MAP_FAILED);
        pthread_mutexattr_init(&attr);
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(robust_mutex, &attr);
        assert_int_equal(run('r'), 0);
        assert_int_equal(pthread_mutex_trylock(robust_mutex), EOWNERDEAD);
        munmap(robust_mutex, sizeof(*robust_mutex));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_libc_is_whole),
                cmocka_unit_test(test_abort_is_sigabrt),
                cmocka_unit_test(test_robust_mutex_of_the_dead),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
