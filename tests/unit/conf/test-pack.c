/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing, and reading the manifest back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/package.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "tests/unit/conf/package-fixture.h"

struct room {
        char path[64];
        int folder;
};

static void put(const struct room *room, const char *name, const char *text, mode_t mode) {
        int fd = openat(room->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        assert_return_code(fd, errno);
        assert_return_code(fd_write_all(fd, text, strlen(text)), 0);
        assert_return_code(fchmod(fd, mode), errno);
        close(fd);
}

static int setup(void **state) {
        struct room *room = calloc(1, sizeof(*room));

        room->folder = folder_make(room->path);
        put(room, "module.ini", MANIFEST_TEXT, 0640);
        *state = room;
        return 0;
}

static int teardown(void **state) {
        struct room *room = *state;

        close(room->folder);
        folder_remove(room->path);
        free(room);
        return 0;
}

static struct bytes pack(const char *folder) {
        _cleanup_close_ int fd = memfd_new("out", 0);
        struct package_report report;
        struct bytes b = { 0 };
        struct stat st;

        assert_int_equal(package_pack(folder, fd, &report), 0);
        assert_return_code(fstat(fd, &st), errno);
        b.data = malloc((size_t)st.st_size);
        b.size = (size_t)st.st_size;
        assert_return_code(fd_pread_all(fd, b.data, b.size, 0), 0);
        return b;
}

static void refused(const struct room *room, int code, const char *message) {
        _cleanup_close_ int fd = memfd_new("out", 0);
        struct package_report report;
        int r = package_pack(room->path, fd, &report);

        if (r != code || !strstr(report.message, message))
                print_error("%d: %s\n", r, report.message);
        assert_int_equal(r, code);
        assert_non_null(strstr(report.message, message));
}

static void fill(const struct room *room, bool backwards) {
        static const char *const names[] = { "x.so", "b.txt", "a.txt" };

        for (int i = 0; i < 3; i++) {
                const char *name = names[backwards ? 2 - i : i];

                put(room, name, name, name[0] == 'x' ? 0755 : 0644);
        }
        assert_return_code(mkdirat(room->folder, "sub", 0700), errno);
        put(room, "sub/\xc3\xa4.txt", "umlaut", 0600);
        assert_return_code(mkdirat(room->folder, "empty", 0777), errno);
}

static void test_there_and_back(void **state) {
        const struct room *room = *state;
        struct package_report report;
        struct bytes package;
        char path[64], *text;
        struct stat st;
        int fd, folder;

        fill(room, false);
        package = pack(room->path);
        fd = file_of(&package);
        folder = folder_make(path);
        assert_int_equal(package_unpack(fd, folder, &PACKAGE_LIMITS_DEFAULT, &report), 0);
        assert_int_equal(report.n_files, 7);
        text = folder_text(folder, "sub/\xc3\xa4.txt");
        assert_string_equal(text, "umlaut");
        free(text);
        assert_return_code(fstatat(folder, "x.so", &st, 0), errno);
        assert_int_equal(st.st_mode, S_IFREG | 0755);
        assert_return_code(fstatat(folder, "empty", &st, 0), errno);
        close(fd);
        close(folder);
        folder_remove(path);
        bytes_free(&package);
}

/* More than is compressed as one piece, and not compressible: what is streamed must come back, too. */
static void test_large(void **state) {
        const struct room *room = *state;
        size_t size = 3u << 20;
        char *text = calloc(1, size + 1), path[64], *back;
        uint32_t seed = 1;
        struct package_report report;
        struct bytes package;
        int fd, folder;

        for (size_t i = 0; i < size; i++) {
                seed = seed * 1664525u + 1013904223u;
                text[i] = (char)('!' + (seed >> 24) % 90);
        }
        put(room, "large", text, 0644);
        package = pack(room->path);
        fd = file_of(&package);
        folder = folder_make(path);
        assert_int_equal(package_unpack(fd, folder, &PACKAGE_LIMITS_DEFAULT, &report), 0);
        back = folder_text(folder, "large");
        assert_memory_equal(back, text, size);
        free(back);
        free(text);
        close(fd);
        close(folder);
        folder_remove(path);
        bytes_free(&package);
}

static void test_equal_folders_give_equal_bytes(void **state) {
        const struct timespec old[] = { { 1000, 0 }, { 1000, 0 } };
        const struct room *room = *state;
        struct bytes first, second;
        struct room other;

        fill(room, false);
        first = pack(room->path);
        other.folder = folder_make(other.path);
        fill(&other, true);
        put(&other, "module.ini", MANIFEST_TEXT, 0644);
        utimensat(other.folder, "x.so", old, 0);
        if (geteuid() == 0)
                assert_return_code(fchownat(other.folder, "x.so", 12, 34, 0), errno);
        second = pack(other.path);
        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.data, second.data, first.size);
        bytes_free(&first);
        bytes_free(&second);
        close(other.folder);
        folder_remove(other.path);
}

static void test_what_is_left_out(void **state) {
        const struct room *room = *state;
        struct package_report report;
        struct bytes before = pack(room->path), after;
        _cleanup_close_ int out = -1;
        struct stat st;

        assert_return_code(mkdirat(room->folder, ".git", 0755), errno);
        put(room, ".git/config", "x", 0644);
        put(room, ".hidden", "x", 0644);
        after = pack(room->path);
        assert_int_equal(before.size, after.size);
        assert_memory_equal(before.data, after.data, after.size);
        /* The output lies in the folder itself. */
        out = openat(room->folder, "x-1.0.0.smod", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        assert_int_equal(package_pack(room->path, out, &report), 0);
        assert_return_code(fstat(out, &st), errno);
        assert_int_equal(st.st_size, before.size);
        bytes_free(&before);
        bytes_free(&after);
}

static void test_links_are_refused(void **state) {
        const struct room *room = *state;

        assert_return_code(mkdirat(room->folder, "sub", 0755), errno);
        assert_return_code(symlinkat("/etc/passwd", room->folder, "sub/link"), errno);
        refused(room, PACKAGE_E_TYPE, "sub/link: it is a symbolic link; expected plain files and folders");
}

static void test_pipes_are_refused(void **state) {
        const struct room *room = *state;

        assert_return_code(mkfifoat(room->folder, "pipe", 0644), errno);
        refused(room, PACKAGE_E_TYPE, "pipe: it is no regular file");
}

static void test_names_are_checked(void **state) {
        const struct room *room = *state;

        put(room, "a\nb", "x", 0644);
        refused(room, PACKAGE_E_PATH, "a?b: the name has a control character");
}

static void test_manifest_is_needed(void **state) {
        const struct room *room = *state;

        assert_return_code(unlinkat(room->folder, "module.ini", 0), errno);
        refused(room, PACKAGE_E_MANIFEST, "module.ini is missing");
}

static void test_no_folder(void **state) {
        const struct room nowhere = { .path = "/nonexistent/folder" };

        refused(&nowhere, -ENOENT, "/nonexistent/folder: No such file");
}

static void test_output_that_fails(void **state) {
        const struct room *room = *state;
        _cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        struct package_report report;

        assert_int_equal(package_pack(room->path, full, &report), -ENOSPC);
        assert_non_null(strstr(report.message, "cannot be written"));
}

static void test_read_manifest(void **state) {
        const struct room *room = *state;
        struct package_report report;
        _cleanup_free_ char *text = NULL;
        struct bytes package;
        size_t size = 0;
        int fd;

        fill(room, false);
        package = pack(room->path);
        fd = file_of(&package);
        assert_int_equal(package_read_manifest(fd, &text, &size, &report), 0);
        assert_string_equal(text, MANIFEST_TEXT);
        assert_int_equal(size, strlen(MANIFEST_TEXT));
        close(fd);
        bytes_free(&package);
}

static void test_read_manifest_refuses(void **state) {
        struct package_report report;
        struct bytes package = package_of((const struct item[]){ { 'f', "x.so", "x" } }, 1);
        char *text = NULL;
        size_t size;
        int fd = file_of(&package);

        assert_int_equal(package_read_manifest(fd, &text, &size, &report), PACKAGE_E_MANIFEST);
        assert_non_null(strstr(report.message, "module.ini is missing"));
        assert_return_code(ftruncate(fd, 20), errno);
        assert_int_equal(package_read_manifest(fd, &text, &size, &report), PACKAGE_E_ARCHIVE);
        assert_null(text);
        close(fd);
        bytes_free(&package);
}

int main(void) {
#define ROOM(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROOM(test_large),
                ROOM(test_there_and_back),
                ROOM(test_equal_folders_give_equal_bytes),
                ROOM(test_what_is_left_out),
                ROOM(test_links_are_refused),
                ROOM(test_pipes_are_refused),
                ROOM(test_names_are_checked),
                ROOM(test_manifest_is_needed),
                ROOM(test_output_that_fails),
                ROOM(test_read_manifest),
                cmocka_unit_test(test_no_folder),
                cmocka_unit_test(test_read_manifest_refuses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
