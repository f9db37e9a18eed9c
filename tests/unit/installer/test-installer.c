/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-installer; this test is its base and its manager.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "conf/package.h"
#include "ipc/clock.h"
#include "ipc/control.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "tests/unit/conf/package-fixture.h"

#define WAIT_MS 20000
#define ROLE_UID "1900000001"
/* Where the spare child unpacks its warm-up: comes and goes. */
#define WARMUP_FOLDER ".warm-up.part"

static const char *installer_exe, *probe_so;
static struct bytes probe;

struct installer {
        char path[64];
        int packages, base, manager;
        pid_t pid;
};

/* The base's part -------------------------------------------------------------------------------------------------- */

static void give(struct installer *in, enum handover what, int fd) {
        assert_int_equal(CONTROL_SEND(in->base, HANDOVER, 0, &fd, 1, .what = what), 0);
}

static void new_manager_link(struct installer *in) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        give(in, HANDOVER_INSTALLER_LINK, pair[1]);
        close(pair[1]);
        fd_close(in->manager);
        in->manager = pair[0];
}

static _Noreturn void become_installer(int link) {
        char pid[16];

        snprintf(pid, sizeof(pid), "%d", getppid());
        setenv("SOCLE_BASE_PID", pid, 1);
        if (geteuid() == 0) {
                setenv("SOCLE_ROLE_UID", ROLE_UID, 1);
                setenv("SOCLE_ROLE_GID", ROLE_UID, 1);
        }
        dup2(link, 3);
        fcntl(3, F_SETFD, 0);
        execl(installer_exe, installer_exe, (char *)NULL);
        _exit(127);
}

static void start(struct installer *in) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        in->base = pair[0];
        in->manager = -1;
        in->pid = fork();
        if (in->pid == 0)
                become_installer(pair[1]);
        close(pair[1]);
        assert_int_equal(CONTROL_SEND(in->base, HELLO, 0, NULL, 0, .epoch = 1, .first_start = 1), 0);
        give(in, HANDOVER_PACKAGES, in->packages);
        new_manager_link(in);
        assert_int_equal(CONTROL_SEND(in->base, HANDOVER_DONE, 0, NULL, 0, .reserved = 0), 0);
}

/* All that was sent before is done when the answer is there. */
static void ping(struct installer *in) {
        struct control_record record;

        assert_int_equal(CONTROL_SEND(in->base, PING, 77, NULL, 0, .reserved = 0), 0);
        do
                assert_int_equal(control_receive_wait(in->base, CONTROL_INSTALLER, CONTROL_BASE, WAIT_MS, &record), 0);
        while (record.header.kind == CONTROL_KIND_CONFINED);
        assert_int_equal(record.header.kind, CONTROL_KIND_PONG);
        assert_int_equal(record.header.request, 77);
}

static int stop(struct installer *in) {
        int status;

        in->base = fd_close(in->base);
        assert_int_equal(waitpid(in->pid, &status, 0), in->pid);
        in->manager = fd_close(in->manager);
        return status;
}

static int setup(void **state) {
        struct installer *in = calloc(1, sizeof(*in));

        in->packages = folder_make(in->path);
        if (geteuid() == 0)
                assert_return_code(fchown(in->packages, (uid_t)atoi(ROLE_UID), (gid_t)atoi(ROLE_UID)), errno);
        start(in);
        *state = in;
        return 0;
}

static int teardown(void **state) {
        struct installer *in = *state;

        if (in->base >= 0)
                assert_int_equal(stop(in), 0);
        close(in->packages);
        folder_remove(in->path);
        free(in);
        return 0;
}

/* The manager's part ----------------------------------------------------------------------------------------------- */

static void hash_of(const struct bytes *b, char sha256[65]) {
        unsigned char digest[crypto_hash_sha256_BYTES];

        crypto_hash_sha256(digest, b->data, b->size);
        sodium_bin2hex(sha256, 65, digest, sizeof(digest));
}

static int send_unpack(struct installer *in, uint64_t request, const struct bytes *package) {
        struct control_unpack body = { .max_size = PACKAGE_LIMITS_DEFAULT.max_size, .max_files = PACKAGE_LIMITS_DEFAULT.max_files };
        int fd = memfd_new_const("package", package->data, package->size), r;

        hash_of(package, body.sha256);
        r = control_send(in->manager, CONTROL_KIND_UNPACK, request, &body, sizeof(body), &fd, 1);
        close(fd);
        return r;
}

static void send_remove(struct installer *in, const struct bytes *package) {
        struct control_unpack body = { 0 };

        hash_of(package, body.sha256);
        assert_int_equal(control_send(in->manager, CONTROL_KIND_PACKAGE_REMOVE, 1, &body, sizeof(body), NULL, 0), 0);
}

static struct control_record answer(struct installer *in) {
        struct control_record record;

        assert_int_equal(control_receive_wait(in->manager, CONTROL_INSTALLER, CONTROL_MANAGER, WAIT_MS, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_UNPACKED);
        return record;
}

static struct control_unpacked unpack(struct installer *in, const struct bytes *package, int *ret_folder) {
        struct control_record record;

        assert_int_equal(send_unpack(in, 42, package), 0);
        record = answer(in);
        assert_int_equal(record.header.request, 42);
        assert_int_equal(record.n_fds, record.UNPACKED.error ? 0 : 1);
        *ret_folder = record.n_fds ? record.fds[0] : -1;
        return record.UNPACKED;
}

/* A good package; `salt` makes its bytes its own. */
static struct bytes good(const char *salt) {
        struct bytes tar = { 0 }, package;
        const struct item items[] = { MANIFEST_ITEM, { 'f', "salt", salt } };

        tar_header(&tar, '0', "x.so", probe.size);
        bytes_add(&tar, probe.data, probe.size);
        bytes_add(&tar, (uint8_t[512]){ 0 }, -probe.size & 511);
        package = tar_of(items, N_ELEMENTS(items));
        bytes_add(&tar, package.data, package.size);
        bytes_free(&package);
        package = zstd_of(tar.data, tar.size);
        bytes_free(&tar);
        return package;
}

static unsigned names_in(const char *path) {
        DIR *dir = opendir(path);
        struct dirent *d;
        unsigned n = 0;

        assert_non_null(dir);
        while ((d = readdir(dir)))
                n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && strcmp(d->d_name, WARMUP_FOLDER) != 0 &&
                     strcmp(d->d_name, ".boot") != 0;
        closedir(dir);
        return n;
}

static unsigned n_fds(const struct installer *in) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/fd", in->pid);
        return names_in(path);
}

/* Tests ------------------------------------------------------------------------------------------------------------ */

static void test_unpacked_then_reused_then_removed(void **state) {
        struct installer *in = *state;
        struct bytes package = good("a");
        struct control_unpacked u;
        uint64_t before = clock_now_ns();
        struct stat st;
        int folder;

        u = unpack(in, &package, &folder);
        assert_string_equal(u.message, "");
        assert_int_equal(u.error, 0);
        assert_int_equal(u.reused, 0);
        assert_int_equal(u.n_files, 3);
        assert_true(before <= u.begin_ns && u.begin_ns < u.end_ns && u.end_ns <= clock_now_ns());
        assert_return_code(fstat(folder, &st), errno);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        assert_return_code(fstatat(folder, "x.so", &st, 0), errno);
        assert_int_equal(st.st_size, probe.size);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
        close(folder);

        u = unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        assert_int_equal(u.reused, 1);
        assert_int_equal(names_in(in->path), 1);

        send_remove(in, &package);
        close(folder);
        u = unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        assert_int_equal(u.reused, 0);
        close(folder);
        bytes_free(&package);
}

static void refused(struct installer *in, struct bytes package, int error, const char *message) {
        struct control_unpacked u;
        int folder;

        u = unpack(in, &package, &folder);
        if (u.error != error || !strstr(u.message, message))
                print_error("%d: %s\n", u.error, u.message);
        assert_int_equal(u.error, error);
        assert_non_null(strstr(u.message, message));
        assert_int_equal(names_in(in->path), 0);
        bytes_free(&package);
}

static void test_refused(void **state) {
        struct installer *in = *state;
        const struct item link[] = { MANIFEST_ITEM, { 's', "l", "/etc/passwd" } };
        const struct item empty[] = { { 'f', "x.so", "x" } };
        const struct item unknown[] = { { 'f', "module.ini", MANIFEST_TEXT "colour = red\n" } };
        const struct item no_entry[] = { MANIFEST_ITEM };
        const struct item no_elf[] = { MANIFEST_ITEM, { 'f', "x.so", "#!/bin/sh\n" } };
        struct bytes text = { 0 };

        bytes_add(&text, "hello", 5);
        refused(in, text, PACKAGE_E_ARCHIVE, "it is no zstd-compressed tar");
        refused(in, package_of(link, 2), PACKAGE_E_TYPE, "l: it is a symbolic link");
        refused(in, package_of(empty, 1), PACKAGE_E_MANIFEST, "module.ini is missing");
        refused(in, package_of(unknown, 1), PACKAGE_E_MANIFEST, "module.ini:5");
        refused(in, package_of(no_entry, 1), PACKAGE_E_ENTRY, "x.so: the entry that module.ini names is not in the package");
        refused(in, package_of(no_elf, 2), PACKAGE_E_ENTRY, "x.so: it is no ELF file");
}

static void test_order_that_is_not_as_it_must_be(void **state) {
        struct installer *in = *state;
        struct control_unpack body = { .sha256 = "../../etc" };
        struct bytes package = good("a");
        struct control_record record;
        int fd = file_of(&package);

        assert_int_equal(control_send(in->manager, CONTROL_KIND_UNPACK, 1, &body, sizeof(body), &fd, 1), 0);
        record = answer(in);
        assert_int_equal(record.UNPACKED.error, -EINVAL);
        hash_of(&package, body.sha256);
        assert_int_equal(control_send(in->manager, CONTROL_KIND_UNPACK, 1, &body, sizeof(body), &fd, 1), 0);
        record = answer(in);
        assert_int_equal(record.UNPACKED.error, -EPERM); /* not sealed */
        close(fd);
        bytes_free(&package);
}

/* More than it takes at once, and more than one of each. */
static void test_many(void **state) {
        struct installer *in = *state;
        enum { N = 60 };
        uint64_t seen[2 * N] = { 0 };
        unsigned n_sent = 0, n_answered = 0, n_reused = 0;

        while (n_answered < 2 * N) {
                char salt[16];
                struct bytes package;
                int r = CONTROL_E_AGAIN;

                if (n_sent < 2 * N) {
                        snprintf(salt, sizeof(salt), "%u", n_sent / 2);
                        package = good(salt);
                        r = send_unpack(in, n_sent, &package);
                        bytes_free(&package);
                        n_sent += !r;
                }
                if (r) {
                        struct control_record record = answer(in);

                        assert_int_equal(record.UNPACKED.error, 0);
                        seen[record.header.request]++;
                        n_reused += record.UNPACKED.reused;
                        n_answered++;
                        control_record_deinit(&record);
                }
        }
        for (unsigned i = 0; i < 2 * N; i++)
                assert_int_equal(seen[i], 1);
        assert_int_equal(n_reused, N);
        assert_int_equal(names_in(in->path), N);
}

static pid_t child_of(const struct installer *in) {
        char path[64], text[32];
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", in->pid, in->pid);
        while (clock_now_ns() < end) {
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t n = read(fd, text, sizeof(text) - 1);

                close(fd);
                if (n > 0) {
                        text[n] = '\0';
                        return atoi(text);
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

/* Orders it, and holds the child still that has the order: it has taken on a filter beside the installer's. -1: it was too quick. */
static pid_t stop_at_work(struct installer *in, const struct bytes *package) {
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;
        pid_t child = -1;
        int n_filters = 0, n_inherited;
        char state;

        status_of(in->pid, &state, &n_inherited);
        assert_int_equal(send_unpack(in, 5, package), 0);
        while (n_filters <= n_inherited) {
                struct pollfd p = { .fd = in->manager, .events = POLLIN };

                assert_true(clock_now_ns() < end);
                if (poll(&p, 1, 0) > 0)
                        return -1;
                child = child_of(in);
                status_of(child, &state, &n_filters);
        }
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
                record = answer(in);
                control_record_deinit(&record);
                send_remove(in, package);
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
        record = answer(in);
        assert_int_equal(record.UNPACKED.error, -ECHILD);
        assert_non_null(strstr(record.UNPACKED.message, "killed by signal 9"));
        assert_int_equal(names_in(in->path), 0);
        u = unpack(in, &other, &folder);
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
        new_manager_link(in);
        u = unpack(in, &other, &folder);
        assert_int_equal(u.error, 0);
        assert_true(gone(child));
        assert_int_equal(names_in(in->path), 1);
        close(folder);

        in->manager = fd_close(in->manager);
        ping(in);
        new_manager_link(in);
        u = unpack(in, &other, &folder);
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
        assert_true(WIFSIGNALED(stop(in)));
        assert_true(gone(child));
        assert_int_equal(names_in(in->path), 1);
        /* The next one finds the half-made folder and removes it. */
        start(in);
        ping(in);
        assert_int_equal(names_in(in->path), 0);
        assert_int_equal(stop(in), 0);
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

/* The only child of a process that has nothing to do is the spare, and sleeps. */
static void settle(const struct installer *in) {
        char path[64], state = '\0';
        uint64_t end = clock_now_ns() + WAIT_MS * NS_PER_MS;

        while (state != 'S' && clock_now_ns() < end) {
                pid_t child = child_of(in);
                FILE *f;

                snprintf(path, sizeof(path), "/proc/%d/stat", child);
                f = child > 0 ? fopen(path, "re") : NULL;
                if (f && fscanf(f, "%*d %*s %c", &state) != 1)
                        state = '\0';
                if (f)
                        fclose(f);
                poll(NULL, 0, 1);
        }
        assert_int_equal(state, 'S');
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
        u = unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        close(folder);
        settle(in);
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
                struct control_unpacked u = unpack(in, &package, &folder);

                assert_int_equal(u.error, 0);
                close(folder);
                send_remove(in, &package);
                if (i == 5) {
                        settle(in);
                        fds = n_fds(in);
                }
        }
        settle(in);
        assert_int_equal(n_fds(in), fds);
        assert_int_equal(names_in(in->path), 0);
        await_idle(in);
        bytes_free(&package);
}

int main(int argc, char **argv) {
#define REAL(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                REAL(test_unpacked_then_reused_then_removed),
                REAL(test_refused),
                REAL(test_order_that_is_not_as_it_must_be),
                REAL(test_many),
                REAL(test_child_that_dies),
                REAL(test_new_manager),
                REAL(test_ends_with_the_base),
                REAL(test_spare_that_dies),
                REAL(test_idle_and_nothing_piles_up),
        };
        static uint8_t data[1 << 20];
        ssize_t n;
        int fd;

        if (argc != 3 || sodium_init() < 0)
                return 2;
        installer_exe = argv[1];
        probe_so = argv[2];
        fd = open(probe_so, O_RDONLY | O_CLOEXEC);
        n = read(fd, data, sizeof(data));
        if (n <= 0)
                return 2;
        close(fd);
        bytes_add(&probe, data, (size_t)n);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
