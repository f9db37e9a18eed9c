/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-installer, and what it is ordered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/package.h"
#include "ipc/clock.h"
#include "tests/unit/installer/fixture.h"

static void test_unpacked_then_reused_then_removed(void **state) {
        struct installer *in = *state;
        struct bytes package = good("a");
        struct control_unpacked u;
        uint64_t before = clock_now_ns();
        struct stat st;
        int folder;

        u = installer_unpack(in, &package, &folder);
        assert_string_equal(u.message, "");
        assert_int_equal(u.error, 0);
        assert_int_equal(u.reused, 0);
        assert_int_equal(u.n_files, 3);
        assert_true(before <= u.begin_ns && u.begin_ns < u.end_ns && u.end_ns <= clock_now_ns());
        assert_return_code(fstat(folder, &st), errno);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        assert_return_code(fstatat(folder, "x.so", &st, 0), errno);
        assert_int_equal(st.st_size, installer_probe.size);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
        close(folder);

        u = installer_unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        assert_int_equal(u.reused, 1);
        assert_packages(in, 1);

        installer_send_remove(in, &package);
        close(folder);
        u = installer_unpack(in, &package, &folder);
        assert_int_equal(u.error, 0);
        assert_int_equal(u.reused, 0);
        close(folder);
        bytes_free(&package);
}

static void refused(struct installer *in, struct bytes package, int error, const char *message) {
        struct control_unpacked u;
        int folder;

        u = installer_unpack(in, &package, &folder);
        if (u.error != error || !strstr(u.message, message))
                print_error("%d: %s\n", u.error, u.message);
        assert_int_equal(u.error, error);
        assert_non_null(strstr(u.message, message));
        assert_packages(in, 0);
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
        record = installer_answer(in);
        assert_int_equal(record.UNPACKED.error, -EINVAL);
        hash_of(&package, body.sha256);
        assert_int_equal(control_send(in->manager, CONTROL_KIND_UNPACK, 1, &body, sizeof(body), &fd, 1), 0);
        record = installer_answer(in);
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
                        r = installer_send_unpack(in, n_sent, &package);
                        bytes_free(&package);
                        n_sent += !r;
                }
                if (r) {
                        struct control_record record = installer_answer(in);

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
        assert_packages(in, N);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                INSTALLER_TEST(test_unpacked_then_reused_then_removed),
                INSTALLER_TEST(test_refused),
                INSTALLER_TEST(test_order_that_is_not_as_it_must_be),
                INSTALLER_TEST(test_many),
        };

        if (installer_args(argc, argv) < 0)
                return 2;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
