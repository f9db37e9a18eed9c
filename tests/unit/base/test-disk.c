/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory is looked at although the folders are not due.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/sanitizers.h"
#include "supervisor/base/base.h"
#include "supervisor/base/disk.h"

#define MIB ((size_t)1 << 20)

/* It holds so much, and has said so. */
static pid_t holder(size_t size) {
        int ready[2];
        pid_t pid;
        char c;

        assert_return_code(pipe(ready), errno);
        pid = fork();
        if (pid == 0) {
                void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (p == MAP_FAILED)
                        _exit(EXIT_FAILURE);
                memset(p, 1, size);
                if (write(ready[1], "", 1) < 0)
                        _exit(EXIT_FAILURE);
                for (;;)
                        pause();
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &c, 1), 1);
        close(ready[0]);
        return pid;
}

static void test_memory_without_folders(void **state) {
        struct instance i = { .id = 7, .state = INSTANCE_RUNNING, .limits = { .memory = MIB, .disk = MIB }, .label = "no-such-folder" };
        struct base base = { .epoll_fd = loop_new(), .disk.counter = JOB_INIT };
        struct link *link = &base.roles[ROLE_MANAGER].link;
        struct control_record record;
        int theirs = -1;

        if (WITH_ASAN || WITH_TSAN) /* whose memory, which the two share, is more than what is looked for */
                skip();
        alarm(120);
        TAILQ_INIT(&base.instances);
        TAILQ_INSERT_TAIL(&base.instances, &i, entry);
        folders_init(&base.folders);
        link_init(link);
        assert_int_equal(fd_pair_renew(fd_socketpair, &link->watch.fd, &theirs), 0);
        i.pid = holder(8 * MIB);
        i.disk_size = 3;
        i.disk_after_ns = UINT64_MAX;
        disk_tick(&base);
        assert_true(base.disk.counter.pid > 0);
        while (base.disk.counter.pid)
                assert_int_equal(loop_turn(&base, UINT64_MAX), 0);
        assert_int_equal(control_receive(theirs, CONTROL_BASE, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_DISK);
        assert_int_equal(record.DISK.instance, 7);
        assert_int_equal(record.DISK.size, 3);
        assert_int_equal(record.DISK.error, 0);
        assert_true(record.DISK.shared_memory >= 7 * MIB);
        assert_true(i.has_run); /* its folders are still to be counted */
        kill(i.pid, SIGKILL);
        waitpid(i.pid, NULL, 0);
        close(link->watch.fd);
        close(theirs);
        close(base.epoll_fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory_without_folders),
        };

        return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
