/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/template/probe-fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char probe_package[64] = "/tmp/socle-test-package.XXXXXX";
const char *probe_template_exe;
static const char *probe_so;

static const char *const granted[] = { "/etc/hostname" };
static const struct worker_pair env[] = { { "GREETING", "hello" } };

const char *seen(const struct view *view, const char *name) {
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

void assert_seen_otherwise(const struct view *a, const struct view *b, const char *name) {
        char value[256];

        snprintf(value, sizeof(value), "%s", seen(a, name));
        assert_string_not_equal(value, seen(b, name));
}

int probe_settings(const char *what) {
        const struct worker_pair config[] = { { "do", what }, { "package", probe_package }, { "granted", "/etc/hostname" } };
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

void probe_template(struct fixture *f, bool root) {
        int r = fixture_start(f, probe_template_exe, root, false, NULL);

        if (r)
                fail_msg("template: %d %s", r, f->failed);
}

void probe_fork(struct fixture *f, const char *what, uint32_t flags, struct fixture_worker *w) {
        struct fixture_order order = {
                .package = probe_package,
                .limits = { .memory = 32 << 20, .files = 256, .flags = flags },
                .uid = 1000,
                .memory_by_rlimit = true,
                .settings_fd = probe_settings(what),
        };

        assert_true(order.settings_fd > 0);
        assert_int_equal(fixture_fork(f, &order, w), 0);
        close(order.settings_fd);
}

void probe_await_ready(struct fixture_worker *w) {
        struct page_vitals vitals;

        if (fixture_wait_level(w, PAGE_READY, &vitals) != PAGE_READY)
                fail_msg("worker: level %d, %s", vitals.level, vitals.error_text);
}

void probe_end(struct fixture_worker *w, struct view *view) {
        int code, status;

        assert_int_equal(fixture_reap(w, true, &code, &status), 0);
        assert_int_equal(code, CLD_KILLED);
        if (view)
                fixture_log(w, view->log, sizeof(view->log));
        fixture_worker_deinit(w);
}

void probe_look(struct fixture *f, uint32_t flags, struct view *view) {
        struct fixture_worker w;

        probe_fork(f, "look", flags, &w);
        probe_await_ready(&w);
        probe_end(&w, view);
}

void probe_check_confined(const struct fixture *f, const struct view *v) {
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

static int copy(const char *from, const char *to) {
        char command[512];

        snprintf(command, sizeof(command), "cp '%s' '%s' && chmod 644 '%s'", from, to, to);
        return system(command);
}

int probe_make_package(void **state) {
        char path[128];
        FILE *file;

        if (!mkdtemp(probe_package) || chmod(probe_package, 0755) < 0)
                return -1;
        snprintf(path, sizeof(path), "%s/probe.so", probe_package);
        if (copy(probe_so, path))
                return -1;
        snprintf(path, sizeof(path), "%s/data.txt", probe_package);
        file = fopen(path, "we");
        return file ? fclose(file) : -1;
}

int probe_remove_package(void **state) {
        char path[128];

        snprintf(path, sizeof(path), "%s/probe.so", probe_package);
        unlink(path);
        snprintf(path, sizeof(path), "%s/data.txt", probe_package);
        unlink(path);
        return rmdir(probe_package);
}

int probe_args(int argc, char **argv) {
        if (argc != 3) {
                fprintf(stderr, "usage: %s SOCLE-TEMPLATE PROBE.SO\n", argv[0]);
                return -1;
        }
        probe_template_exe = argv[1];
        probe_so = argv[2];
        return 0;
}
