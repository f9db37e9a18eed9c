/* SPDX-License-Identifier: Apache-2.0
 *
 * What workers of a real socle-template see: rootless, and as root in a user namespace.
 */
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/template/probe-fixture.h"

static void test_rootless(void **state) {
        struct fixture f;
        struct view v;

        probe_template(&f, false);
        assert_true(f.enforced & ENFORCED_NO_NEW_PRIVS);
        assert_false(f.enforced & (ENFORCED_USERNS | ENFORCED_NETNS | ENFORCED_UIDS));
        probe_look(&f, 0, &v);
        probe_check_confined(&f, &v);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_root(void **state) {
        struct fixture f;
        struct view v;

        if (getuid() != 0)
                skip();
        probe_template(&f, true);
        assert_int_equal(f.enforced & (ENFORCED_USERNS | ENFORCED_NETNS | ENFORCED_UIDS), ENFORCED_USERNS | ENFORCED_NETNS | ENFORCED_UIDS);
        probe_look(&f, 0, &v);
        probe_check_confined(&f, &v);
        assert_seen(&v, "uid", "1000");
        assert_seen(&v, "gid", "1000");
        assert_seen(&v, "groups", "0");
        assert_seen(&v, "dumpable", "0");
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_network_host(void **state) {
        for (int root = 0; root <= (getuid() == 0); root++) {
                struct fixture f;
                struct view v;

                probe_template(&f, root);
                probe_look(&f, FORK_NETWORK_HOST, &v);
                assert_seen(&v, "socket_inet", "ok");
                /* Rootless it would reach whatever asks for the uid alone. */
                assert_seen(&v, "socket_unix", root ? "ok" : "EPERM");
                assert_seen(&v, "fork", "EPERM");
                if (access("/etc/resolv.conf", R_OK) == 0)
                        assert_seen(&v, "read_resolv", "ok");
                assert_int_equal(fixture_stop(&f), 0);
        }
}

/* How many more this process, which is the host's root, may have. */
static int inotify_left(void) {
        int fds[256], n = 0;

        while (n < 256 && (fds[n] = inotify_init1(IN_CLOEXEC)) >= 0)
                n++;
        for (int i = 0; i < n; i++)
                close(fds[i]);
        return n;
}

static bool limits_can_be_set(void) {
        return access("/proc/sys/user/max_inotify_instances", W_OK) == 0;
}

/* A worker that takes all that its user may have takes nothing from the host's root, and leaves something to other workers. */
static void test_quotas_are_the_modules_own(void **state) {
        int before = inotify_left(), after;
        struct fixture_worker w;
        struct fixture f;
        struct view v;

        if (getuid() != 0)
                skip();
        probe_template(&f, true);
        probe_fork(&f, "take", 0, &w);
        probe_await_ready(&w);
        /* Others of root come and go meanwhile; the worker has taken more than 12 and keeps them. */
        for (int i = 0; (after = inotify_left()) <= before - 12 && i < 1000; i++)
                poll(NULL, 0, 20);
        probe_end(&w, &v);
        assert_in_range(atoi(seen(&v, "inotify")), 16, limits_can_be_set() ? 32 : 200);
        assert_true(after > before - 12);
        assert_in_range(atoi(seen(&v, "timers")), 1, 1024);
        assert_int_equal(fixture_stop(&f), 0);
}

static uint64_t inode_of(pid_t pid, const char *what) {
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
        assert_int_equal(stat(path, &st), 0);
        return st.st_ino;
}

/* In a process of its own: there may be no way back. */
static bool only_loopback(pid_t pid) {
        int status;
        pid_t child = fork();

        if (child == 0) {
                struct if_nameindex *all;
                char path[64];
                int fd;

                snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
                        _exit(2);
                all = if_nameindex();
                _exit(all && all[0].if_name && strcmp(all[0].if_name, "lo") == 0 && !all[1].if_name ? 0 : 1);
        }
        waitpid(child, &status, 0);
        return status == 0;
}

static uid_t owner_of(pid_t pid) {
        char path[64], line[256];
        unsigned uid = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "Uid: %u", &uid) == 1)
                        break;
        fclose(file);
        return uid;
}

static void test_one_empty_network_for_all(void **state) {
        struct fixture_worker a, b, host;
        struct fixture f;

        if (getuid() != 0)
                skip();
        probe_template(&f, true);
        probe_fork(&f, "idle", 0, &a);
        probe_fork(&f, "idle", 0, &b);
        probe_fork(&f, "idle", FORK_NETWORK_HOST, &host);
        probe_await_ready(&a);
        probe_await_ready(&b);
        probe_await_ready(&host);
        assert_true(inode_of(a.pid, "ns/net") == inode_of(b.pid, "ns/net"));
        assert_false(inode_of(a.pid, "ns/net") == inode_of(getpid(), "ns/net"));
        assert_true(inode_of(host.pid, "ns/net") == inode_of(getpid(), "ns/net"));
        assert_true(only_loopback(a.pid));
        /* Seen from outside, the uid is one of the mapped range, and so is the template's own. */
        assert_int_equal(owner_of(a.pid), FIXTURE_UID_BASE + 1000);
        assert_int_equal(owner_of(f.pid), FIXTURE_UID_BASE);
        probe_end(&a, NULL);
        probe_end(&b, NULL);
        probe_end(&host, NULL);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_layout_differs(void **state) {
        struct view first, second;
        struct fixture f;

        probe_template(&f, false);
        probe_look(&f, 0, &first);
        probe_look(&f, 0, &second);
        assert_seen_otherwise(&first, &second, "code");
        assert_int_equal(fixture_stop(&f), 0);
}

/* Threads have the one of who made them, so the worker's own. */
static void test_secrets_differ(void **state) {
        struct view first, second;
        struct fixture f;

        for (int spare = 0; spare < 2; spare++) {
                probe_template(&f, false);
                f.spare = spare;
                probe_look(&f, 0, &first);
                probe_look(&f, 0, &second);
                assert_seen_otherwise(&first, &second, "random");
#ifdef __x86_64__
                assert_seen_otherwise(&first, &second, "canary");
#endif
                assert_int_equal(fixture_stop(&f), 0);
        }
}

/* Whether it was born as what it is or as a spare makes no difference to what it may, and where it lies. */
static void test_spare(void **state) {
        bool root = getuid() == 0;
        struct view first, second;
        struct fixture f;

        probe_template(&f, root);
        f.spare = true;
        probe_look(&f, 0, &first);
        probe_check_confined(&f, &first);
        if (root)
                assert_seen(&first, "uid", "1000");
        probe_look(&f, 0, &second);
        assert_seen_otherwise(&first, &second, "code");
        assert_int_equal(fixture_stop(&f), 0);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rootless),
                cmocka_unit_test(test_root),
                cmocka_unit_test(test_network_host),
                cmocka_unit_test(test_one_empty_network_for_all),
                cmocka_unit_test(test_quotas_are_the_modules_own),
                cmocka_unit_test(test_layout_differs),
                cmocka_unit_test(test_secrets_differ),
                cmocka_unit_test(test_spare),
        };

        if (probe_args(argc, argv) < 0)
                return 2;
        return cmocka_run_group_tests(tests, probe_make_package, probe_remove_package);
}
