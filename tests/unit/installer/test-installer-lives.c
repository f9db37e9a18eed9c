/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-installer that loses its children, its manager, its base, or has nothing to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "tests/unit/installer/fixture.h"

static unsigned n_fds(const struct installer *in) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/fd", in->pid);
        return names_in(path);
}

/* The youngest: those before it are done, and stopped. */
static pid_t child_of(const struct installer *in) {
        char path[64], text[256];
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", in->pid, in->pid);
        while (clock_now_ns() < end) {
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t n = read(fd, text, sizeof(text) - 1);

                close(fd);
                if (n > 1) {
                        const char *last;

                        text[n - 1] = '\0'; /* was a space */
                        last = strrchr(text, ' ');
                        return atoi(last ? last : text);
                }
        }
        return -1;
}

/* Takes a while to unpack. */
static struct bytes slow(void) {
        struct bytes tar = { 0 }, package;
        size_t size = 128u << 20;
        uint8_t *zeros = calloc(1, size + 1024);

        tar_header(&tar, '0', "zeros", size);
        bytes_add(&tar, zeros, size + 1024);
        package = zstd_of(tar.data, tar.size);
        bytes_free(&tar);
        free(zeros);
        return package;
}

static void status_of(pid_t pid, char *ret_state, int *ret_n_filters) {
        char path[64], line[256];
        FILE *f;

        *ret_state = '\0';
        *ret_n_filters = 0;
        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f)) {
                sscanf(line, "State: %c", ret_state);
                sscanf(line, "Seccomp_filters: %d", ret_n_filters);
        }
        if (f)
                fclose(f);
}

/* Orders it, and holds the child still that has begun. -1: it was too quick. */
static pid_t stop_at_work(struct installer *in, const struct bytes *package) {
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;
        int n_filters;
        pid_t child;
        char state;

        assert_int_equal(installer_send_unpack(in, 5, package), 0);
        while (!packages_staged(in, "zeros")) {
                struct pollfd p = { .fd = in->manager, .events = POLLIN };

                assert_true(clock_now_ns() < end);
                if (poll(&p, 1, 0) > 0)
                        return -1;
        }
        child = child_of(in);
        kill(child, SIGSTOP);
        do {
                assert_true(clock_now_ns() < end);
                status_of(child, &state, &n_filters);
        } while (state != 'T' && state != 'Z' && state);
        return state == 'T' ? child : -1;
}

/* As often as it takes: that the child is met at work is a matter of luck. */
static pid_t child_at_work(struct installer *in, const struct bytes *package) {
        for (int i = 0; i < 100; i++) {
                pid_t child = stop_at_work(in, package);
                struct control_record record;

                if (child > 0)
                        return child;
                record = installer_answer(in);
                control_record_deinit(&record);
                installer_send_remove(in, package);
        }
        fail_msg("it is always quicker");
        return -1;
}

static void test_child_that_dies(void **state) {
        struct installer *in = *state;
        struct bytes package = slow(), other = good("a");
        struct control_record record;
        struct control_unpacked u;
        pid_t child;
        int folder;

        child = child_at_work(in, &package);
        kill(child, SIGKILL);
        record = installer_answer(in);
        assert_int_equal(record.UNPACKED.error, -ECHILD);
        assert_non_null(strstr(record.UNPACKED.message, "killed by signal 9"));
        assert_packages(in, 0);
        assert_int_equal(packages_staged(in, "zeros"), 0);
        u = installer_unpack(in, &other, &folder);
        assert_int_equal(u.error, 0);
        close(folder);
        bytes_free(&package);
        bytes_free(&other);
}

static bool gone(pid_t pid) {
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;

        while (clock_now_ns() < end)
                if (kill(pid, 0) < 0 && errno == ESRCH)
                        return true;
        return false;
}

static void test_new_manager(void **state) {
        struct installer *in = *state;
        struct bytes package = slow(), other = good("a");
        struct control_unpacked u;
        pid_t child;
        int folder;

        child = child_at_work(in, &package);
        /* What the old one asked for is given up. */
        installer_new_manager_link(in);
        u = installer_unpack(in, &other, &folder);
        assert_int_equal(u.error, 0);
        assert_true(gone(child));
        assert_packages(in, 1);
        assert_int_equal(packages_staged(in, "zeros"), 0);
        close(folder);

        in->manager = fd_close(in->manager);
        installer_ping(in);
        installer_new_manager_link(in);
        u = installer_unpack(in, &other, &folder);
        assert_int_equal(u.reused, 1);
        close(folder);
        bytes_free(&package);
        bytes_free(&other);
}

static void test_ends_with_the_base(void **state) {
        struct installer *in = *state;
        struct bytes package = slow();
        pid_t child;

        child = child_at_work(in, &package);
        kill(in->pid, SIGKILL);
        assert_true(WIFSIGNALED(installer_stop(in)));
        assert_true(gone(child));
        assert_int_equal(packages_staged(in, "zeros"), 1);
        /* The next one finds the half-made folder and removes it. */
        installer_start(in);
        installer_ping(in);
        assert_packages(in, 0);
        assert_int_equal(packages_staged(in, "zeros"), 0);
        assert_int_equal(installer_stop(in), 0);
        bytes_free(&package);
}

static unsigned long n_switches(const struct installer *in) {
        char path[64], line[256];
        unsigned long sum = 0, n;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", in->pid);
        f = fopen(path, "re");
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
                        sum = n;
        fclose(f);
        return sum;
}

/* The only child of a process that has nothing to do is the spare, and sleeps; it has a filter beside the installer's. */
static void settle(const struct installer *in) {
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;
        int n_filters = 0, n_inherited;
        char state;

        status_of(in->pid, &state, &n_inherited);
        do {
                assert_true(clock_now_ns() < end);
                status_of(child_of(in), &state, &n_filters);
                poll(NULL, 0, 1);
        } while (state != 'S' || n_filters <= n_inherited);
}

static void test_spare_that_dies(void **state) {
        struct installer *in = *state;
        struct bytes package = good("a");
        struct control_unpacked u;
        pid_t child;
        int folder;

        settle(in);
        child = child_of(in);
        kill(child, SIGKILL);
        assert_true(gone(child));
        u = installer_unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        close(folder);
        settle(in);
        assert_packages(in, 1);
        bytes_free(&package);
}

/* What it has made ahead is in no package. */
static void test_spare_that_works(void **state) {
        struct installer *in = *state;
        struct bytes package = good("a");
        struct control_unpacked u;
        char path[32];
        int folder;

        settle(in);
        assert_int_equal(packages_staged(in, NULL), 1);
        u = installer_unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", folder);
        assert_int_equal(names_in(path), u.n_files);
        close(folder);
        bytes_free(&package);
}

/* No synchronisation: that nothing happens in a while is what is tested. It may take until it has come to rest. */
static void await_idle(const struct installer *in) {
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;
        unsigned long switches;

        do {
                assert_true(clock_now_ns() < end);
                switches = n_switches(in);
                poll(NULL, 0, 300);
        } while (n_switches(in) != switches);
}

static void test_idle_and_nothing_piles_up(void **state) {
        struct installer *in = *state;
        struct bytes package = good("a");
        unsigned fds = 0;
        int folder;

        for (int i = 0; i < 50; i++) {
                struct control_unpacked u = installer_unpack(in, &package, &folder);

                assert_int_equal(u.error, 0);
                close(folder);
                installer_send_remove(in, &package);
                if (i == 5) {
                        settle(in);
                        fds = n_fds(in);
                }
        }
        settle(in);
        assert_int_equal(n_fds(in), fds);
        assert_packages(in, 0);
        await_idle(in);
        bytes_free(&package);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                INSTALLER_TEST(test_child_that_dies),           INSTALLER_TEST(test_new_manager),
                INSTALLER_TEST(test_ends_with_the_base),        INSTALLER_TEST(test_spare_that_dies),
                INSTALLER_TEST(test_idle_and_nothing_piles_up), INSTALLER_TEST(test_spare_that_works),
        };

        if (installer_args(argc, argv) < 0)
                return 2;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
