/* SPDX-License-Identifier: Apache-2.0
 *
 * Which socket a line of [gateway] listen becomes: one that systemd passed, by
 * name or by address, or one of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/fd.h"
#include "supervisor/base/listeners.h"
#include "supervisor/base/sd-daemon.h"

#define PASSED SD_LISTEN_FDS_START

static int bind_stream(int family, bool v6_only, bool listening, struct sockaddr_storage *ret_address) {
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = v6_only;
        struct sockaddr_storage address = { .ss_family = (sa_family_t)family };
        socklen_t size = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

        assert_true(fd >= 0);
        if (family == AF_INET)
                ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        else
                assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        if (listening)
                assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        *ret_address = address;
        return fd;
}

/* As systemd does it: from descriptor 3 on, not close-on-exec. */
static void pass(int fd, const char *name) {
        char pid[16];

        snprintf(pid, sizeof(pid), "%d", getpid());
        if (fd != PASSED) {
                assert_int_equal(dup2(fd, PASSED), PASSED);
                close(fd);
        }
        assert_int_equal(fd_set_cloexec(PASSED, false), 0);
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", name, 1);
}

static int withdraw(void **state) {
        close(PASSED);
        unsetenv("LISTEN_FDS");
        return 0;
}

static struct control_boot_config config_of(const char *text, const struct sockaddr_storage *address, uint32_t size) {
        struct control_boot_config config = { .n_listeners = 1 };

        snprintf(config.listeners[0].text, sizeof(config.listeners[0].text), "%s", text);
        if (address)
                config.listeners[0].address = *address;
        config.listeners[0].address_size = size;
        return config;
}

static bool is_passed(int fd) {
        struct stat a, b;

        return fstat(fd, &a) == 0 && fstat(PASSED, &b) == 0 && a.st_ino == b.st_ino;
}

static void check(const char *text, const struct sockaddr_storage *address, uint32_t size, bool taken, int error) {
        struct control_boot_config config = config_of(text, address, size);
        int fds[CONTROL_LISTENERS_MAX] = { -1 };

        assert_int_equal(listeners_open(&config, 0, fds), error);
        if (error)
                return;
        assert_int_equal(is_passed(fds[0]), taken);
        assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(PASSED, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
        close(fds[0]);
}

static void test_same_address(void **state) {
        struct sockaddr_storage address, other;
        int fd;

        pass(bind_stream(AF_INET, false, true, &address), "web");
        check("127.0.0.1:1", &address, sizeof(struct sockaddr_in), true, 0);
        check("fd:web", NULL, 0, true, 0);
        check("fd:other", NULL, 0, false, -ENOENT);

        /* A port that was free a moment ago. */
        fd = bind_stream(AF_INET, false, false, &other);
        close(fd);
        check("127.0.0.1:2", &other, sizeof(struct sockaddr_in), false, 0);
}

static void test_families(void **state) {
        struct sockaddr_storage address;
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (probe < 0)
                skip();
        close(probe);
        pass(bind_stream(AF_INET6, false, true, &address), "web");
        check("*:1", &address, sizeof(struct sockaddr_in6), true, 0);
        /* The same bytes, but IPv6 alone was asked for: bound by somebody else, as far as this line goes. */
        check("[::]:1", &address, sizeof(struct sockaddr_in6), false, -EADDRINUSE);
}

static void test_not_listening(void **state) {
        struct sockaddr_storage address;

        pass(bind_stream(AF_INET, false, false, &address), "web");
        check("127.0.0.1:1", &address, sizeof(struct sockaddr_in), false, -EADDRINUSE);
}

static void test_not_for_us(void **state) {
        struct sockaddr_storage address;

        pass(bind_stream(AF_INET, false, true, &address), "web");
        setenv("LISTEN_PID", "1", 1);
        assert_int_equal(sd_listen_fds(), 0);
        check("127.0.0.1:1", &address, sizeof(struct sockaddr_in), false, -EADDRINUSE);
        check("fd:web", NULL, 0, false, -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_same_address, withdraw),
                cmocka_unit_test_teardown(test_families, withdraw),
                cmocka_unit_test_teardown(test_not_listening, withdraw),
                cmocka_unit_test_teardown(test_not_for_us, withdraw),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
