/* SPDX-License-Identifier: Apache-2.0
 *
 * Diagnostics of the base and its roles, whose reader may have stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"

static char heard[1 << 20];

/* All that there is. */
static void hear(int fd) {
        size_t size = 0;
        ssize_t n;

        while ((n = read(fd, heard + size, sizeof(heard) - 1 - size)) > 0)
                size += (size_t)n;
        heard[size] = '\0';
}

/* Until the reader's buffer is full, and on; then the reader comes back. `to` waits for room, as a journal's socket does. */
static void check_patience(int to, int from) {
        int before = fd_dup(STDERR_FILENO);

        fd_set_nonblock(to, false);
        dup2(to, STDERR_FILENO);
        alarm(60);
        for (int i = 0; i < 20000; i++)
                log_error("line %d of many, which nobody reads", i);
        alarm(0);
        hear(from);
        log_error("behind them");
        dup2(before, STDERR_FILENO);
        fd_close(before);
        assert_non_null(strstr(heard, "line 0 of many"));
        assert_null(strstr(heard, "line 19999 of many"));
        hear(from);
        assert_non_null(strstr(heard, "lines were lost: nobody took them\n"));
        assert_non_null(strstr(heard, "behind them\n"));
}

static void test_a_pipe_that_is_full(void **state) {
        int fds[2];

        assert_int_equal(fd_pipe(fds), 0);
        check_patience(fds[1], fds[0]);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

static void test_a_socket_that_is_full(void **state) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        check_patience(fds[1], fds[0]);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_pipe_that_is_full),
                cmocka_unit_test(test_a_socket_that_is_full),
        };

        log_begin("test");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
