/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-template, driven as the base drives it, and workers that say
 * what they see: once rootless, and as root in a user namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/errors.h"
#include "tests/unit/template/fixture.h"

static const char *template_exe, *probe_so;
static char package[64] = "/tmp/socle-test-package.XXXXXX";

static const char *const granted[] = { "/etc/hostname" };
static const struct worker_pair env[] = { { "GREETING", "hello" } };

struct view {
        char log[8192];
};

static const char *seen(const struct view *view, const char *name) {
        static char value[256];
        char key[64];
        const char *at;

        snprintf(key, sizeof(key), "%s=", name);
        for (at = view->log; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
                if (strncmp(at, key, strlen(key)) == 0) {
                        snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + strlen(key), "\n"), at + strlen(key));
                        return value;
                }
        fail_msg("the probe did not say %s; it said:\n%s", name, view->log);
        return NULL;
}

#define assert_seen(view, name, expected) assert_string_equal(seen((view), (name)), (expected))

static void assert_seen_otherwise(const struct view *a, const struct view *b, const char *name) {
        char value[256];

        snprintf(value, sizeof(value), "%s", seen(a, name));
        assert_string_not_equal(value, seen(b, name));
}

static int settings_for(const char *what) {
        const struct worker_pair config[] = { { "do", what }, { "package", package }, { "granted", "/etc/hostname" } };
        const struct worker_settings settings = {
                .name = "probe",
                .version = "1.0.0",
                .entry = "probe.so",
                .prefix = "",
                .config = config,
                .n_config = 3,
                .env = env,
                .n_env = 1,
                .in_flight = 16,
                .stack = 65536,
                .body_max = 65536,
                .start_timeout_ms = 5000,
                .stop_timeout_ms = 1000,
                .request_timeout_ms = 1000,
                .ring_size = 16384,
                .max_message = 1 << 20,
                .read = granted,
                .n_read = 1,
        };

        return worker_settings_encode(&settings);
}

static void start_template(struct fixture *f, bool root) {
        int r = fixture_start(f, template_exe, root, false, NULL);

        if (r)
                fail_msg("template: %d %s", r, f->failed);
}

static void fork_probe(struct fixture *f, const char *what, uint32_t flags, struct fixture_worker *w) {
        struct fixture_order order = {
                .package = package,
                .limits = { .memory = 32 << 20, .files = 256, .flags = flags },
                .uid = 1000,
                .memory_by_rlimit = true,
                .settings_fd = settings_for(what),
        };

        assert_true(order.settings_fd > 0);
        assert_int_equal(fixture_fork(f, &order, w), 0);
        close(order.settings_fd);
}

static void await_ready(struct fixture_worker *w) {
        struct page_vitals vitals;

        if (fixture_wait_level(w, PAGE_READY, &vitals) != PAGE_READY)
                fail_msg("worker: level %d, %s", vitals.level, vitals.error_text);
}

static void end(struct fixture_worker *w, struct view *view) {
        int code, status;

        assert_int_equal(fixture_reap(w, true, &code, &status), 0);
        assert_int_equal(code, CLD_KILLED);
        if (view)
                fixture_log(w, view->log, sizeof(view->log));
        fixture_worker_deinit(w);
}

static void look(struct fixture *f, uint32_t flags, struct view *view) {
        struct fixture_worker w;

        fork_probe(f, "look", flags, &w);
        await_ready(&w);
        end(&w, view);
}

static void check_confined(const struct fixture *f, const struct view *v) {
        char pid[16];

        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        assert_seen(v, "ppid", pid);
        assert_seen(v, "mutex_owner_is_me", "yes");
        assert_seen(v, "mutex_relock", "EDEADLK");
        assert_seen(v, "thread", "ok");
        assert_seen(v, "robust_list", "set");
        assert_seen(v, "no_new_privs", "1");
        assert_seen(v, "core", "1");
        assert_seen(v, "files", "256");
        assert_seen(v, "leak", "no");
        assert_seen(v, "greeting", "hello");
        assert_seen(v, "name", "probe");
        assert_seen(v, "map_64m", "refused");
        assert_seen(v, "write_work", "ok");
        assert_seen(v, "read_home", "ok");
        assert_seen(v, "read_package", "ok");
        if (f->enforced & ENFORCED_SECCOMP) {
                static const char *const refused[] = { "fork",           "raw_fork",       "spawn",        "exec",        "unshare",
                                                       "setns",          "io_uring",       "mount",        "kill_parent", "pdeathsig",
                                                       "own_for_parent", "dumpable_again", "limit_parent", "socket_inet", "socket_unix",
                                                       "socket_packet",  "pair_dgram" };

                for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
                        if (strcmp(refused[i], "socket_packet") != 0)
                                assert_seen(v, refused[i], "EPERM");
                assert_seen(v, "clone3", "ENOSYS");
                assert_seen(v, "kill_self", "ok");
                assert_seen(v, "pair_stream", "ok");
                assert_seen(v, "pair_inet", "ENOSYS");
                assert_seen(v, "chmod", f->enforced & ENFORCED_UIDS ? "ok" : "EPERM");
        }
        if (f->enforced & ENFORCED_LANDLOCK) {
                assert_seen(v, "read_passwd", "EACCES");
                assert_seen(v, "read_proc", "EACCES");
                assert_seen(v, "read_resolv", "EACCES");
                assert_seen(v, "write_package", "EACCES");
                assert_seen(v, "read_granted", "ok");
                assert_seen(v, "read_null", "ok");
        }
}

static void test_rootless(void **state) {
        struct fixture f;
        struct view v;

        start_template(&f, false);
        assert_true(f.enforced & ENFORCED_NO_NEW_PRIVS);
        assert_false(f.enforced & (ENFORCED_USERNS | ENFORCED_NETNS | ENFORCED_UIDS));
        look(&f, 0, &v);
        check_confined(&f, &v);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_root(void **state) {
        struct fixture f;
        struct view v;

        if (getuid() != 0)
                skip();
        start_template(&f, true);
        assert_int_equal(f.enforced & (ENFORCED_USERNS | ENFORCED_NETNS | ENFORCED_UIDS), ENFORCED_USERNS | ENFORCED_NETNS | ENFORCED_UIDS);
        look(&f, 0, &v);
        check_confined(&f, &v);
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

                start_template(&f, root);
                look(&f, FORK_NETWORK_HOST, &v);
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
        start_template(&f, true);
        fork_probe(&f, "take", 0, &w);
        await_ready(&w);
        /* Others of root come and go meanwhile; the worker has taken more than 12 and keeps them. */
        for (int i = 0; (after = inotify_left()) <= before - 12 && i < 1000; i++)
                poll(NULL, 0, 20);
        end(&w, &v);
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
        start_template(&f, true);
        fork_probe(&f, "idle", 0, &a);
        fork_probe(&f, "idle", 0, &b);
        fork_probe(&f, "idle", FORK_NETWORK_HOST, &host);
        await_ready(&a);
        await_ready(&b);
        await_ready(&host);
        assert_true(inode_of(a.pid, "ns/net") == inode_of(b.pid, "ns/net"));
        assert_false(inode_of(a.pid, "ns/net") == inode_of(getpid(), "ns/net"));
        assert_true(inode_of(host.pid, "ns/net") == inode_of(getpid(), "ns/net"));
        assert_true(only_loopback(a.pid));
        /* Seen from outside, the uid is one of the mapped range, and so is the template's own. */
        assert_int_equal(owner_of(a.pid), FIXTURE_UID_BASE + 1000);
        assert_int_equal(owner_of(f.pid), FIXTURE_UID_BASE);
        end(&a, NULL);
        end(&b, NULL);
        end(&host, NULL);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_abort_is_seen_by_the_base(void **state) {
        struct fixture_worker w;
        struct fixture f;
        int code, status;

        start_template(&f, getuid() == 0);
        fork_probe(&f, "abort", 0, &w);
        assert_int_equal(fixture_reap(&w, false, &code, &status), 0);
        assert_int_equal(code, CLD_KILLED);
        assert_int_equal(status, SIGABRT);
        fixture_worker_deinit(&w);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_workers_live_without_the_template(void **state) {
        struct fixture_worker w;
        struct fixture f;
        struct pollfd p;

        start_template(&f, getuid() == 0);
        fork_probe(&f, "idle", 0, &w);
        await_ready(&w);
        assert_int_equal(fixture_stop(&f), 0);
        p = (struct pollfd){ .fd = w.pidfd, .events = POLLIN };
        assert_int_equal(poll(&p, 1, 0), 0);
        end(&w, NULL);
}

static void test_layout_differs(void **state) {
        char first[64];
        struct fixture f;
        struct view v;

        start_template(&f, false);
        look(&f, 0, &v);
        snprintf(first, sizeof(first), "%s", seen(&v, "code"));
        look(&f, 0, &v);
        assert_string_not_equal(first, seen(&v, "code"));
        assert_int_equal(fixture_stop(&f), 0);
}

/* Threads have the one of who made them, so the worker's own. */
static void test_secrets_differ(void **state) {
        struct view first, second;
        struct fixture f;

        for (int spare = 0; spare < 2; spare++) {
                start_template(&f, false);
                f.spare = spare;
                look(&f, 0, &first);
                look(&f, 0, &second);
                assert_seen_otherwise(&first, &second, "random");
#ifdef __x86_64__
                assert_seen_otherwise(&first, &second, "canary");
#endif
                assert_int_equal(fixture_stop(&f), 0);
        }
}

/* It cannot take an edge, says so, and lives on. */
static void test_module_without_descriptors_left(void **state) {
        struct control_record record;
        struct fixture_worker w;
        struct fixture f;
        int pair[2];

        start_template(&f, false);
        fork_probe(&f, "take files", 0, &w);
        await_ready(&w);
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_int_equal(CONTROL_SEND(w.link, EDGE_OFFER, 0, pair, 2, .edge = 5, .peer = 6), 0);
        do
                assert_int_equal(control_receive_wait(w.link, CONTROL_WORKER, CONTROL_MANAGER, 10000, &record), 0);
        while (record.header.kind != CONTROL_KIND_EDGE_REJECT);
        assert_int_equal(record.EDGE_REJECT.edge, 5);
        assert_int_equal(record.EDGE_REJECT.error, ERROR_BUSY);
        close(pair[0]);
        close(pair[1]);
        end(&w, NULL);
        assert_int_equal(fixture_stop(&f), 0);
}

static bool state_of(pid_t pid, char *ret_state) {
        char path[64];
        FILE *file;
        int n;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        file = fopen(path, "re");
        n = file ? fscanf(file, "%*d %*s %c", ret_state) : 0;
        if (file)
                fclose(file);
        return n == 1;
}

/* It is warm, and sleeps. */
static void await_spare(pid_t pid) {
        char now = '\0';

        for (int i = 0; i < 10000 && now != 'S'; i++) {
                assert_true(state_of(pid, &now));
                poll(NULL, 0, 1);
        }
        assert_int_equal(now, 'S');
}

/* Whether it was born as what it is or as a spare makes no difference to what it may, and where it lies. */
static void test_spare(void **state) {
        bool root = getuid() == 0;
        char first[64];
        struct fixture f;
        struct view v;

        start_template(&f, root);
        f.spare = true;
        look(&f, 0, &v);
        check_confined(&f, &v);
        if (root)
                assert_seen(&v, "uid", "1000");
        snprintf(first, sizeof(first), "%s", seen(&v, "code"));
        look(&f, 0, &v);
        assert_string_not_equal(first, seen(&v, "code"));
        assert_int_equal(fixture_stop(&f), 0);
}

static void spare_ends(struct fixture_worker *w, int expected_code, int expected_status) {
        int code, status;

        assert_int_equal(fixture_reap(w, false, &code, &status), 0);
        assert_int_equal(code, expected_code);
        assert_int_equal(status, expected_status);
        fixture_worker_deinit(w);
}

static void test_spare_without_an_order(void **state) {
        struct control_fork_worker body = { .instance = 43, .name = "probe" };
        struct fixture_worker w;
        struct fixture f;
        int order, fds[6];

        start_template(&f, false);
        assert_int_equal(fixture_fork_spare(&f, 0, &w, &order), 0);
        await_spare(w.pid);
        close(order);
        spare_ends(&w, CLD_EXITED, EXIT_SUCCESS);

        /* An order that is not its own. */
        assert_int_equal(fixture_fork_spare(&f, 0, &w, &order), 0);
        for (size_t i = 0; i < 6; i++)
                fds[i] = STDERR_FILENO;
        assert_int_equal(control_send(order, CONTROL_KIND_FORK_WORKER, 7, &body, sizeof(body), fds, 6), 0);
        spare_ends(&w, CLD_EXITED, EXIT_FAILURE);
        close(order);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_failing_layer_is_named(void **state) {
        static const char *const missing[] = { "/nonexistent/granted" };
        const struct worker_settings settings = {
                .name = "probe", .version = "1", .entry = "probe.so", .prefix = "", .read = missing, .n_read = 1
        };
        struct fixture_order order = { .package = package, .settings = &settings, .uid = 1000 };
        struct page_vitals vitals;
        struct fixture_worker w;
        struct fixture f;
        int code, status;

        start_template(&f, false);
        if (!(f.enforced & ENFORCED_LANDLOCK)) {
                fixture_stop(&f);
                skip();
        }
        assert_int_equal(fixture_fork(&f, &order, &w), 0);
        assert_int_equal(fixture_wait_level(&w, PAGE_READY, &vitals), PAGE_FAILED);
        assert_int_equal(vitals.error_code, PAGE_FAILURE_SANDBOX);
        assert_non_null(strstr(vitals.error_text, "landlock"));
        assert_non_null(strstr(vitals.error_text, "/nonexistent/granted"));
        assert_int_equal(fixture_reap(&w, false, &code, &status), 0);
        assert_int_equal(status, EXIT_FAILURE);
        fixture_worker_deinit(&w);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_unmapped_uid_is_refused(void **state) {
        struct fixture_order order = { .package = package, .uid = 70000, .settings_fd = settings_for("idle") };
        struct page_vitals vitals;
        struct fixture_worker w;
        struct fixture f;
        int code, status;

        if (getuid() != 0)
                skip();
        start_template(&f, true);
        assert_int_equal(fixture_fork(&f, &order, &w), 0);
        assert_int_equal(fixture_wait_level(&w, PAGE_READY, &vitals), PAGE_FAILED);
        assert_non_null(strstr(vitals.error_text, "uid"));
        assert_int_equal(fixture_reap(&w, false, &code, &status), 0);
        fixture_worker_deinit(&w);
        close(order.settings_fd);
        assert_int_equal(fixture_stop(&f), 0);
}

static void test_bad_preload_is_named(void **state) {
        struct fixture f;

        assert_int_equal(fixture_start(&f, template_exe, false, false, "libc.so.6, libno-such-thing.so"), 1);
        assert_non_null(strstr(f.failed, "libno-such-thing.so"));
        assert_int_equal(fixture_stop(&f), EXIT_FAILURE);
}

static void test_strict_needs_root(void **state) {
        struct fixture f;

        assert_int_equal(fixture_start(&f, template_exe, false, true, NULL), 1);
        assert_non_null(strstr(f.failed, "strict"));
        assert_int_equal(fixture_stop(&f), EXIT_FAILURE);
}

static void test_ping(void **state) {
        struct control_record record;
        struct fixture f;

        start_template(&f, false);
        assert_int_equal(CONTROL_SEND(f.link, PING, 9, NULL, 0, .reserved = 0), 0);
        assert_int_equal(control_receive_wait(f.link, CONTROL_TEMPLATE, CONTROL_BASE, 10000, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_PONG);
        assert_int_equal(record.header.request, 9);
        assert_int_equal(fixture_stop(&f), 0);
}

static int copy(const char *from, const char *to) {
        char command[512];

        snprintf(command, sizeof(command), "cp '%s' '%s' && chmod 644 '%s'", from, to, to);
        return system(command);
}

static int make_package(void **state) {
        char path[128];
        FILE *file;

        if (!mkdtemp(package) || chmod(package, 0755) < 0)
                return -1;
        snprintf(path, sizeof(path), "%s/probe.so", package);
        if (copy(probe_so, path))
                return -1;
        snprintf(path, sizeof(path), "%s/data.txt", package);
        file = fopen(path, "we");
        return file ? fclose(file) : -1;
}

static int remove_package(void **state) {
        char path[128];

        snprintf(path, sizeof(path), "%s/probe.so", package);
        unlink(path);
        snprintf(path, sizeof(path), "%s/data.txt", package);
        unlink(path);
        return rmdir(package);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ping),
                cmocka_unit_test(test_bad_preload_is_named),
                cmocka_unit_test(test_strict_needs_root),
                cmocka_unit_test(test_rootless),
                cmocka_unit_test(test_root),
                cmocka_unit_test(test_network_host),
                cmocka_unit_test(test_one_empty_network_for_all),
                cmocka_unit_test(test_quotas_are_the_modules_own),
                cmocka_unit_test(test_abort_is_seen_by_the_base),
                cmocka_unit_test(test_workers_live_without_the_template),
                cmocka_unit_test(test_layout_differs),
                cmocka_unit_test(test_secrets_differ),
                cmocka_unit_test(test_module_without_descriptors_left),
                cmocka_unit_test(test_spare),
                cmocka_unit_test(test_spare_without_an_order),
                cmocka_unit_test(test_failing_layer_is_named),
                cmocka_unit_test(test_unmapped_uid_is_refused),
        };

        if (argc != 3) {
                fprintf(stderr, "usage: test-template SOCLE-TEMPLATE PROBE.SO\n");
                return 2;
        }
        template_exe = argv[1];
        probe_so = argv[2];
        return cmocka_run_group_tests(tests, make_package, remove_package);
}
