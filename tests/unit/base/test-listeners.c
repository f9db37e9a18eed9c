/* SPDX-License-Identifier: Apache-2.0
 *
 * Which socket a line of [gateway] listen becomes: one that systemd passed, by
 * name or by address, or one of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/base-config.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/base/config-check.h"
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
        struct control_boot_config config = { .n_listeners = 1, .n_gateways = 1 };

        snprintf(config.listeners[0].text, sizeof(config.listeners[0].text), "%s", text);
        if (address)
                config.listeners[0].address = *address;
        config.listeners[0].address_size = size;
        config.listeners[0].mode = 0600;
        config.listeners[0].gid = UINT32_MAX;
        return config;
}

static bool is_passed(int fd) {
        struct stat a, b;

        return fstat(fd, &a) == 0 && fstat(PASSED, &b) == 0 && a.st_ino == b.st_ino;
}

static void check(const char *text, const struct sockaddr_storage *address, uint32_t size, bool taken, int error) {
        struct control_boot_config config = config_of(text, address, size);
        struct listeners l;
        bool shared;
        int fd;

        listeners_init(&l);
        assert_int_equal(listeners_open(&l, &config, 0), error);
        if (!error) {
                fd = listeners_of(&l, 0, 0, &shared);
                assert_int_equal(is_passed(fd), taken);
                assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
                assert_true(fcntl(PASSED, F_GETFD) & FD_CLOEXEC);
                assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        }
        listeners_deinit(&l);
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

/* Trying ------------------------------------------------------------------------------------------------------------------- */

static int probe(const char *text, const struct sockaddr_storage *address, uint32_t size) {
        struct control_boot_config config = config_of(text, address, size);

        return listener_probe(&config, 0, false);
}

/* Root may give a file to any group, so it is somebody else for a while. */
static int be_user(void **state) {
        if (geteuid())
                return 0;
        return setgroups(0, NULL) < 0 || setegid(60001) < 0 || seteuid(60001) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ? -1 : 0;
}

static int be_root(void **state) {
        return getuid() ? 0 : seteuid(0) < 0 || setegid(0) < 0 ? -1 : 0;
}

static gid_t foreign_group(void) {
        gid_t groups[256], gid = getegid();
        int n = getgroups(N_ELEMENTS(groups), groups);

        for (int i = 0; i < n; i++)
                gid = MAX(gid, groups[i]);
        return gid + 1;
}

static int probe_group(const struct sockaddr_storage *address, gid_t gid, bool ours) {
        struct control_boot_config config = config_of("unix:", address, sizeof(struct sockaddr_un));

        config.listeners[0].gid = gid;
        return listener_probe(&config, 0, ours);
}

/* Asked twice, for what a refused one leaves must not look like one that was left by a base. */
static void check_group(const struct sockaddr_storage *address, bool ours) {
        for (int i = 0; i < 2; i++) {
                assert_int_equal(probe_group(address, foreign_group(), ours), -EPERM);
                assert_int_equal(probe_group(address, getegid(), ours), 0);
        }
}

static void test_probe_group(void **state) {
        struct sockaddr_storage un = { .ss_family = AF_UNIX };
        char folder[] = "/tmp/socle-probe-XXXXXX", *path = ((struct sockaddr_un *)&un)->sun_path;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct listeners l;
        struct control_boot_config config;

        assert_non_null(mkdtemp(folder));
        sprintf(path, "%s/x", folder);
        check_group(&un, false);
        /* nor does one that cannot be listened on */
        config = config_of("unix:", &un, sizeof(struct sockaddr_un));
        config.listeners[0].gid = foreign_group();
        listeners_init(&l);
        assert_int_equal(listeners_open(&l, &config, 0), -EPERM);
        listeners_deinit(&l);
        assert_int_equal(access(path, F_OK), -1);
        /* over one that is ours, and one that is stale: neither is touched */
        assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(struct sockaddr_un)), 0);
        assert_int_equal(listen(fd, 1), 0);
        check_group(&un, true);
        assert_int_equal(probe_group(&un, getegid(), false), -EADDRINUSE);
        close(fd);
        check_group(&un, false);
        assert_int_equal(chmod(folder, 0500), 0);
        assert_int_equal(probe_group(&un, UINT32_MAX, false), -EACCES);
        assert_int_equal(chmod(folder, 0700), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0); /* and nothing is left beside it */
}

static void test_probe(void **state) {
        struct sockaddr_storage address, un = { .ss_family = AF_UNIX };
        char *path = ((struct sockaddr_un *)&un)->sun_path;
        int fd = bind_stream(AF_INET, false, true, &address);
        FILE *f;

        assert_int_equal(probe("127.0.0.1:1", &address, sizeof(struct sockaddr_in)), -EADDRINUSE);
        close(fd);
        assert_int_equal(probe("127.0.0.1:1", &address, sizeof(struct sockaddr_in)), 0);
        assert_int_equal(probe("fd:web", NULL, 0), -ENOENT);
        sprintf(path, "/tmp/socle-probe-%d", getpid());
        assert_int_equal(probe("unix:", &un, sizeof(struct sockaddr_un)), 0);
        assert_int_equal(access(path, F_OK), -1);
        /* What somebody has put there stays. */
        f = fopen(path, "w");
        assert_non_null(f);
        fclose(f);
        assert_int_equal(probe("unix:", &un, sizeof(struct sockaddr_un)), -EADDRINUSE);
        assert_int_equal(unlink(path), 0);
        strcat(path, "/x");
        assert_int_equal(probe("unix:", &un, sizeof(struct sockaddr_un)), -ENOENT);
}

static struct control_listener listener_of(const char *text) {
        struct control_listener l = { 0 };
        char error[256];

        snprintf(l.text, sizeof(l.text), "%s", text);
        assert_int_equal(listen_address_parse(text, &l.address, &l.address_size, error, sizeof(error)), 0);
        return l;
}

static bool collide(const char *a, const char *b) {
        struct control_listener x = listener_of(a), y = listener_of(b);

        assert_int_equal(config_check_collide(&x, &y), config_check_collide(&y, &x));
        return config_check_collide(&x, &y);
}

static void test_collide(void **state) {
        assert_true(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert_false(collide("127.0.0.1:80", "127.0.0.1:81"));
        assert_false(collide("127.0.0.1:80", "127.0.0.2:80"));
        assert_true(collide("127.0.0.1:80", "0.0.0.0:80"));
        assert_true(collide("127.0.0.1:80", "*:80"));
        assert_true(collide("[::1]:80", "*:80"));
        assert_true(collide("[::]:80", "*:80"));
        assert_true(collide("0.0.0.0:80", "*:80"));
        assert_false(collide("0.0.0.0:80", "[::]:80"));
        assert_false(collide("127.0.0.1:80", "[::]:80"));
        assert_true(collide("unix:/run/a", "unix:/run/a"));
        assert_false(collide("unix:/run/a", "unix:/run/b"));
        assert_false(collide("unix:/run/a", "*:80"));
        assert_false(collide("fd:web", "fd:web"));
}

/* Several gateways ----------------------------------------------------------------------------------------------------------- */

#define N_GATEWAYS 3u
#define N_CLIENTS 300u

static void open_several(struct listeners *l, const char *text, const struct sockaddr_storage *address, uint32_t size, int wanted) {
        struct control_boot_config config = config_of(text, address, size);

        config.n_gateways = N_GATEWAYS;
        listeners_init(l);
        assert_int_equal(listeners_open(l, &config, 0), wanted);
}

static struct sockaddr_storage free_address(int family) {
        struct sockaddr_storage address;

        close(bind_stream(family, false, false, &address));
        return address;
}

/* How many of N_CLIENTS connections each gateway finds in its socket. */
static void connect_many(const struct listeners *l, const struct sockaddr_storage *address, uint32_t size, uint32_t counts[N_GATEWAYS]) {
        static int clients[N_CLIENTS];
        bool shared;

        for (uint32_t i = 0; i < N_CLIENTS; i++) {
                clients[i] = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_true(clients[i] >= 0);
                assert_int_equal(connect(clients[i], (const struct sockaddr *)address, size), 0);
        }
        for (uint32_t g = 0; g < N_GATEWAYS; g++) {
                int listener = listeners_of(l, 0, g, &shared), fd;

                assert_false(shared);
                for (counts[g] = 0; (fd = accept(listener, NULL, NULL)) >= 0; counts[g]++)
                        close(fd);
        }
        for (uint32_t i = 0; i < N_CLIENTS; i++)
                close(clients[i]);
        assert_int_equal(counts[0] + counts[1] + counts[2], N_CLIENTS);
}

/* Of 300, each third is 100 give or take 8; 40 is more than seven times that away. */
static void check_dealing(int family, uint32_t size) {
        struct sockaddr_storage address = free_address(family);
        struct listeners l;
        uint32_t n[N_GATEWAYS];

        open_several(&l, "here", &address, size, 0);
        connect_many(&l, &address, size, n);
        assert_true(n[0] > 40 && n[1] > 40 && n[2] > 40);
        listeners_steer(&l, 1 << 0 | 1 << 2);
        connect_many(&l, &address, size, n);
        assert_true(n[0] > 60 && n[1] == 0 && n[2] > 60);
        listeners_steer(&l, 1 << 1);
        connect_many(&l, &address, size, n);
        assert_int_equal(n[1], N_CLIENTS);
        /* Nobody lives: they wait for whoever comes first. */
        listeners_steer(&l, 0);
        connect_many(&l, &address, size, n);
        assert_true(n[0] > 40 && n[1] > 40 && n[2] > 40);
        listeners_deinit(&l);
}

static void test_each_has_a_socket(void **state) {
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        check_dealing(AF_INET, sizeof(struct sockaddr_in));
        if (probe < 0)
                return;
        close(probe);
        check_dealing(AF_INET6, sizeof(struct sockaddr_in6));
}

/* Sockets that allow others beside them must not let two bases serve one address by turns. */
static void test_another_base(void **state) {
        struct sockaddr_storage address = free_address(AF_INET);
        struct listeners a, b;

        open_several(&a, "here", &address, sizeof(struct sockaddr_in), 0);
        open_several(&b, "here", &address, sizeof(struct sockaddr_in), -EADDRINUSE);
        listeners_deinit(&b);
        listeners_deinit(&a);
        open_several(&b, "here", &address, sizeof(struct sockaddr_in), 0);
        listeners_deinit(&b);
}

static void check_shared(const char *text, const struct sockaddr_storage *address, uint32_t size) {
        struct listeners l;
        bool shared = false;
        int fd;

        open_several(&l, text, address, size, 0);
        fd = listeners_of(&l, 0, 0, &shared);
        assert_true(shared && fd >= 0);
        assert_int_equal(listeners_of(&l, 0, N_GATEWAYS - 1, &shared), fd);
        listeners_steer(&l, 1);
        listeners_deinit(&l);
}

static void test_one_socket_for_all(void **state) {
        struct sockaddr_un path = { .sun_family = AF_UNIX };
        struct sockaddr_storage address = { 0 };

        snprintf(path.sun_path, sizeof(path.sun_path), "/tmp/socle-test-listeners-%d", getpid());
        memcpy(&address, &path, sizeof(path));
        check_shared("unix", &address, sizeof(path));
        unlink(path.sun_path);

        pass(bind_stream(AF_INET, false, true, &address), "web");
        check_shared("fd:web", NULL, 0);
        check_shared("by address", &address, sizeof(struct sockaddr_in));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_same_address, withdraw),
                cmocka_unit_test_teardown(test_families, withdraw),
                cmocka_unit_test(test_probe),
                cmocka_unit_test_setup_teardown(test_probe_group, be_user, be_root),
                cmocka_unit_test(test_collide),
                cmocka_unit_test_teardown(test_not_listening, withdraw),
                cmocka_unit_test_teardown(test_not_for_us, withdraw),
                cmocka_unit_test(test_each_has_a_socket),
                cmocka_unit_test(test_another_base),
                cmocka_unit_test_teardown(test_one_socket_for_all, withdraw),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
