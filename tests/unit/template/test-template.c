/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-template, driven as the base drives it: what it refuses, and how it and
 * its workers end.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/errors.h"
#include "tests/unit/template/probe-fixture.h"

static void test_abort_is_seen_by_the_base(void **state) {
        struct fixture_worker w;
        struct fixture f;
        int code, status;

        probe_template(&f, getuid() == 0);
        probe_fork(&f, "abort", 0, &w);
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

        probe_template(&f, getuid() == 0);
        probe_fork(&f, "idle", 0, &w);
        probe_await_ready(&w);
        assert_int_equal(fixture_stop(&f), 0);
        p = (struct pollfd){ .fd = w.pidfd, .events = POLLIN };
        assert_int_equal(poll(&p, 1, 0), 0);
        probe_end(&w, NULL);
}

/* In ns; 0: this kernel gives everybody the same. */
static uint64_t slice_of(pid_t pid) {
        uint64_t attr[6] = { sizeof(attr) };

        assert_int_equal(syscall(SYS_sched_getattr, pid, attr, sizeof(attr), 0), 0);
        return attr[3];
}

static void test_worker_has_a_short_slice(void **state) {
        struct fixture_worker w;
        struct fixture f;

        if (!slice_of(0))
                skip();
        probe_template(&f, false);
        probe_fork(&f, "idle", 0, &w);
        probe_await_ready(&w);
        assert_int_equal(slice_of(w.pid), 500000);
        assert_true(slice_of(w.pid) < slice_of(0));
        probe_end(&w, NULL);
        assert_int_equal(fixture_stop(&f), 0);
}

/* It cannot take an edge, says so, and lives on. */
static void test_module_without_descriptors_left(void **state) {
        struct control_record record;
        struct fixture_worker w;
        struct fixture f;
        int pair[2];

        probe_template(&f, false);
        probe_fork(&f, "take files", 0, &w);
        probe_await_ready(&w);
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_int_equal(CONTROL_SEND(w.link, EDGE_OFFER, 0, pair, 2, .edge = 5, .peer = 6), 0);
        do
                assert_int_equal(control_receive_wait(w.link, CONTROL_WORKER, CONTROL_MANAGER, 10000, &record), 0);
        while (record.header.kind != CONTROL_KIND_EDGE_REJECT);
        assert_int_equal(record.EDGE_REJECT.edge, 5);
        assert_int_equal(record.EDGE_REJECT.error, ERROR_BUSY);
        close(pair[0]);
        close(pair[1]);
        probe_end(&w, NULL);
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

        probe_template(&f, false);
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
        struct fixture_order order = { .package = probe_package, .settings = &settings, .uid = 1000 };
        struct page_vitals vitals;
        struct fixture_worker w;
        struct fixture f;
        int code, status;

        probe_template(&f, false);
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
        struct fixture_order order = { .package = probe_package, .uid = 70000, .settings_fd = probe_settings("idle") };
        struct page_vitals vitals;
        struct fixture_worker w;
        struct fixture f;
        int code, status;

        if (getuid() != 0)
                skip();
        probe_template(&f, true);
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

        assert_int_equal(fixture_start(&f, probe_template_exe, false, false, "libc.so.6, libno-such-thing.so"), 1);
        assert_non_null(strstr(f.failed, "libno-such-thing.so"));
        assert_int_equal(fixture_stop(&f), EXIT_FAILURE);
}

static void test_strict_needs_root(void **state) {
        struct fixture f;

        assert_int_equal(fixture_start(&f, probe_template_exe, false, true, NULL), 1);
        assert_non_null(strstr(f.failed, "strict"));
        assert_int_equal(fixture_stop(&f), EXIT_FAILURE);
}

static void test_ping(void **state) {
        struct control_record record;
        struct fixture f;

        probe_template(&f, false);
        assert_int_equal(CONTROL_SEND(f.link, PING, 9, NULL, 0, .reserved = 0), 0);
        assert_int_equal(control_receive_wait(f.link, CONTROL_TEMPLATE, CONTROL_BASE, 10000, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_PONG);
        assert_int_equal(record.header.request, 9);
        assert_int_equal(fixture_stop(&f), 0);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ping),
                cmocka_unit_test(test_bad_preload_is_named),
                cmocka_unit_test(test_strict_needs_root),
                cmocka_unit_test(test_abort_is_seen_by_the_base),
                cmocka_unit_test(test_workers_live_without_the_template),
                cmocka_unit_test(test_worker_has_a_short_slice),
                cmocka_unit_test(test_module_without_descriptors_left),
                cmocka_unit_test(test_spare_without_an_order),
                cmocka_unit_test(test_failing_layer_is_named),
                cmocka_unit_test(test_unmapped_uid_is_refused),
        };

        if (probe_args(argc, argv) < 0)
                return 2;
        return cmocka_run_group_tests(tests, probe_make_package, probe_remove_package);
}
