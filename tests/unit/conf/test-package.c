/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacking: what is taken, and every reason for a refusal. Each evil package
 * also carries a good module.ini, so that nothing but the evil is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/package.h"
#include "conf/signature.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "tests/unit/conf/package-fixture.h"

static const struct package_limits small = { .max_size = 1 << 20, .max_files = 100 };

struct unpacked {
        int result, folder;
        char path[64];
        struct package_report report;
};

static bool prepared; /* whether there are files in the folder when it is unpacked into */

static struct unpacked unpack(const struct bytes *package, const struct package_limits *limits) {
        struct unpacked u = { 0 };
        int fd = file_of(package);

        u.folder = folder_make(u.path);
        if (prepared)
                assert_int_equal(package_prepare(u.folder), 0);
        u.result = package_unpack(fd, u.folder, limits, &u.report);
        close(fd);
        return u;
}

static void unpacked_free(struct unpacked *u) {
        close(u->folder);
        folder_remove(u->path);
}

/* Refused, for this reason, and nothing has come to lie outside. */
static void refused(struct bytes package, int code, const char *message) {
        struct unpacked u = unpack(&package, &small);

        if (u.result != code || !strstr(u.report.message, message))
                print_error("result %d (expected %d), message \"%s\" (expected \"...%s...\")\n", u.result, code, u.report.message, message);
        assert_int_equal(u.result, code);
        assert_non_null(strstr(u.report.message, message));
        unpacked_free(&u);
        bytes_free(&package);
}

static void accepted(struct bytes package) {
        struct unpacked u = unpack(&package, &small);

        if (u.result)
                print_error("%s\n", u.report.message);
        assert_int_equal(u.result, 0);
        unpacked_free(&u);
        bytes_free(&package);
}

static struct bytes good(void) {
        const struct item items[] = { MANIFEST_ITEM, { 'f', "x.so", "elf", 0755 } };

        return package_of(items, N_ELEMENTS(items));
}

/* What is taken ---------------------------------------------------------------------------------------------------- */

static mode_t mode_of(const struct unpacked *u, const char *path) {
        struct stat st;

        assert_return_code(fstatat(u->folder, path, &st, AT_SYMLINK_NOFOLLOW), errno);
        return st.st_mode;
}

static unsigned folder_count(int folder) {
        DIR *dir = fdopendir(dup(folder));
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n - 2;
}

static void test_contents_and_modes(void **state) {
        const struct item items[] = {
                { 'd', "./", NULL },
                { 'f', "./module.ini", MANIFEST_TEXT, 0600 },
                { 'f', "bin//x.so", "elf", 04711 },
                { 'd', "data", NULL, 0700 },
                { 'f', "data/a/b/c.txt", "deep", 0444 },
                { 'f', "data/\xc3\xa4\xe2\x82\xac.txt", "umlaut" },
                { 'd', "empty/", NULL },
                { 'd', "data", NULL }, /* folders may come again */
        };
        struct bytes package = package_of(items, N_ELEMENTS(items));
        mode_t before = umask(077);
        struct unpacked u = unpack(&package, &small);
        char *text;

        umask(before);
        assert_string_equal(u.report.message, "");
        assert_int_equal(u.result, 0);
        assert_int_equal(u.report.n_files, N_ELEMENTS(items));
        assert_int_equal(u.report.size, strlen(MANIFEST_TEXT) + strlen("elf") + strlen("deep") + strlen("umlaut"));
        assert_int_equal(mode_of(&u, "module.ini"), S_IFREG | 0644);
        assert_int_equal(mode_of(&u, "bin"), S_IFDIR | 0755);
        assert_int_equal(mode_of(&u, "bin/x.so"), S_IFREG | 0755);
        assert_int_equal(mode_of(&u, "data"), S_IFDIR | 0755);
        assert_int_equal(mode_of(&u, "data/a/b"), S_IFDIR | 0755);
        assert_int_equal(mode_of(&u, "data/a/b/c.txt"), S_IFREG | 0644);
        assert_int_equal(mode_of(&u, "empty"), S_IFDIR | 0755);
        text = folder_text(u.folder, "data/\xc3\xa4\xe2\x82\xac.txt");
        assert_non_null(text);
        assert_string_equal(text, "umlaut");
        free(text);
        assert_int_equal(folder_count(u.folder), 4); /* module.ini, bin, data, empty */
        unpacked_free(&u);
        bytes_free(&package);
}

/* As on a file system that does not know RENAME_NOREPLACE: the first rename fails, and the second is not tried. */
static void test_what_was_prepared_in_vain_is_removed(void **state) {
        struct bytes package = good();
        struct package_report report;
        char path[64];
        int fd = file_of(&package), folder = folder_make(path);

        assert_int_equal(package_prepare(folder), 0);
        assert_return_code(unlinkat(folder, "\0011", 0), errno);
        assert_int_equal(package_unpack(fd, folder, &small, &report), 0);
        assert_int_equal(folder_count(folder), 2); /* module.ini and x.so */
        assert_return_code(faccessat(folder, "x.so", F_OK, 0), errno);
        close(fd);
        close(folder);
        folder_remove(path);
        bytes_free(&package);
}

static void test_offset_is_not_used(void **state) {
        struct bytes package = good();
        int fd = file_of(&package);
        struct package_report report;
        char path[64];
        int folder = folder_make(path);

        lseek(fd, 7, SEEK_SET);
        assert_int_equal(package_unpack(fd, folder, &small, &report), 0);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 7);
        close(fd);
        close(folder);
        folder_remove(path);
        bytes_free(&package);
}

/* Paths and types -------------------------------------------------------------------------------------------------- */

static void evil(const struct item *items, size_t n, int code, const char *message) {
        struct item all[8] = { MANIFEST_ITEM };

        assert_true(n < N_ELEMENTS(all));
        memcpy(all + 1, items, n * sizeof(*items));
        refused(package_of(all, n + 1), code, message);
}
#define EVIL(code, message, ...)                                                                                                           \
        evil((const struct item[]){ __VA_ARGS__ }, N_ELEMENTS(((const struct item[]){ __VA_ARGS__ })), code, message)

static void test_paths(void **state) {
        char deep[200] = "", wide[300], longest[1200] = "";

        EVIL(PACKAGE_E_PATH, "/etc/passwd: expected a path relative", { 'f', "/etc/passwd", "x" });
        EVIL(PACKAGE_E_PATH, "../x: expected a path without \"..\"", { 'f', "../x", "x" });
        EVIL(PACKAGE_E_PATH, "without \"..\"", { 'f', "a/../../x", "x" });
        EVIL(PACKAGE_E_PATH, "without \"..\"", { 'f', "a/..", "x" });
        EVIL(PACKAGE_E_PATH, "without \"..\"", { 'd', "..", NULL });
        EVIL(PACKAGE_E_PATH, "a?b: the name has a control character", { 'f', "a\nb", "x" });
        EVIL(PACKAGE_E_PATH, "control character", { 'f', "a\x7f", "x" });
        EVIL(PACKAGE_E_PATH, "a?b: the name has a control character",
             { 'f',
               "a\xc2\x9b"
               "b",
               "x" });
        EVIL(PACKAGE_E_PATH, "expected a name for a file", { 'f', "./.", "x" });
        for (int i = 0; i < 33; i++)
                strcat(deep, i ? "/d" : "d");
        EVIL(PACKAGE_E_PATH, "at most 32 folders", { 'f', deep, "x" });
        memset(wide, 'w', 256);
        wide[256] = '\0';
        EVIL(PACKAGE_E_PATH, "at most 255 bytes", { 'f', wide, "x" });
        wide[250] = '\0';
        for (int i = 0; i < 4; i++)
                strcat(strcat(longest, wide), "/");
        strcat(longest, "0123456789012345678901234567890");
        EVIL(PACKAGE_E_PATH, "at most 1024 bytes", { 'f', longest, "x" });
        longest[1024] = '\0';
        accepted(package_of((const struct item[]){ MANIFEST_ITEM, { 'f', longest, "x" } }, 2));
}

static void test_names_that_are_not_utf8(void **state) {
        static const char *const names[] = { "\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80" };

        for (size_t i = 0; i < N_ELEMENTS(names); i++) {
                const struct item manifest[] = { MANIFEST_ITEM };
                struct bytes tar = tar_of(manifest, 1);

                tar.size -= 1024;
                tar_header(&tar, '0', names[i], 0);
                bytes_add(&tar, (uint8_t[1024]){ 0 }, 1024);
                refused(zstd_of(tar.data, tar.size), PACKAGE_E_PATH, "UTF-8");
                bytes_free(&tar);
        }
}

static void test_twice(void **state) {
        EVIL(PACKAGE_E_PATH, "a: it is there twice", { 'f', "a", "x" }, { 'f', "a", "y" });
        EVIL(PACKAGE_E_PATH, "module.ini: it is there twice", { 'f', "./module.ini", "x" });
        EVIL(PACKAGE_E_PATH, "it is there twice", { 'f', "a/b", "x" }, { 'f', "a/.//b", "y" });
        EVIL(PACKAGE_E_PATH, "as a folder and as a file", { 'd', "a", NULL }, { 'f', "a", "x" });
        EVIL(PACKAGE_E_PATH, "as a folder and as a file", { 'f', "a/b", "x" }, { 'f', "a", "x" });
        EVIL(PACKAGE_E_PATH, "a is a file and a folder", { 'f', "a", "x" }, { 'f', "a/b", "x" });
        EVIL(PACKAGE_E_PATH, "a is a file and a folder", { 'f', "a", "x" }, { 'd', "a", NULL });
}

static void test_types(void **state) {
        EVIL(PACKAGE_E_TYPE, "l: it is a symbolic link; expected plain files and folders", { 's', "l", "/etc/passwd" });
        EVIL(PACKAGE_E_TYPE, "a symbolic link", { 's', "l", "module.ini" }, { 'f', "l/x", "x" });
        EVIL(PACKAGE_E_TYPE, "a hard link", { 'h', "l", "module.ini" });
        EVIL(PACKAGE_E_TYPE, "a named pipe", { 'p', "p", NULL });
        EVIL(PACKAGE_E_TYPE, "a device", { 'c', "c", NULL });
        EVIL(PACKAGE_E_TYPE, "a device", { 'b', "b", NULL });
        EVIL(PACKAGE_E_TYPE, "sparse", { 'S', "s", NULL });
}

static void test_manifest_is_missing(void **state) {
        refused(package_of((const struct item[]){ { 'f', "x.so", "x" } }, 1), PACKAGE_E_MANIFEST, "module.ini is missing");
        refused(package_of((const struct item[]){ { 'f', "x/module.ini", "x" } }, 1), PACKAGE_E_MANIFEST, "module.ini is missing");
        refused(package_of((const struct item[]){ { 'd', "module.ini", NULL } }, 1), PACKAGE_E_MANIFEST, "module.ini is missing");
        refused(package_of(NULL, 0), PACKAGE_E_MANIFEST, "module.ini is missing");
}

/* Limits ----------------------------------------------------------------------------------------------------------- */

static void test_size(void **state) {
        struct item items[] = { MANIFEST_ITEM, { 'f', "big", NULL } };
        size_t rest = small.max_size - strlen(MANIFEST_TEXT);
        char *text = calloc(1, rest + 2);

        memset(text, 'x', rest);
        items[1].text = text;
        accepted(package_of(items, 2));
        text[rest] = 'x';
        refused(package_of(items, 2), PACKAGE_E_LIMIT, "big: the unpacked files are larger than 1048576 bytes");
        free(text);
}

static void test_claimed_size_is_refused_before_it_is_written(void **state) {
        struct bytes tar = { 0 };

        tar_header(&tar, '0', "big", UINT64_C(8) << 30);
        refused(zstd_of(tar.data, tar.size), PACKAGE_E_LIMIT, "big: the unpacked files are larger");
        bytes_free(&tar);
}

/* A few files can stand for many folders that no entry names. */
static void test_folders_of_paths_count(void **state) {
        struct item items[5] = { MANIFEST_ITEM };
        char paths[5][80];

        for (int i = 1; i < 5; i++) {
                snprintf(paths[i], sizeof(paths[i]), "%d", i);
                for (int k = 0; k < 24; k++)
                        strcat(paths[i], "/d");
                items[i] = (struct item){ 'f', paths[i], "" };
        }
        accepted(package_of(items, 4));
        refused(package_of(items, 5), PACKAGE_E_LIMIT, "it holds more than 100 files and folders");
}

static void test_count(void **state) {
        static struct item items[101];
        static char names[101][8];

        items[0] = (struct item)MANIFEST_ITEM;
        for (int i = 1; i < 101; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                items[i] = (struct item){ 'f', names[i], "" };
        }
        accepted(package_of(items, 100));
        refused(package_of(items, 101), PACKAGE_E_LIMIT, "more than 100 files");
}

/* Nothing of it is a file, all of it are headers: the count of files never grows. */
static void test_bomb_of_headers(void **state) {
        struct bytes tar = { 0 }, package;
        struct unpacked u;
        char record[] = "19 comment=aaaaaaa\n";
        uint8_t block[512] = { 0 };

        memcpy(block, record, strlen(record));
        for (int i = 0; i < 4096; i++) {
                tar_header(&tar, 'g', "g", strlen(record));
                bytes_add(&tar, block, sizeof(block));
        }
        package = zstd_of(tar.data, tar.size);
        u = unpack(&package, &small);
        /* Newer libarchives have a limit of their own. */
        assert_true(u.result == PACKAGE_E_LIMIT || u.result == PACKAGE_E_ARCHIVE);
        unpacked_free(&u);
        bytes_free(&package);
        bytes_free(&tar);
}

static void test_bomb_of_zeros_behind(void **state) {
        const struct item items[] = { MANIFEST_ITEM };
        struct bytes tar = tar_of(items, 1);
        size_t size = 64u << 20;
        uint8_t *zeros = calloc(1, size);

        bytes_add(&tar, zeros, size);
        refused(zstd_of(tar.data, tar.size), PACKAGE_E_LIMIT, "it unpacks to more than");
        bytes_free(&tar);
        free(zeros);
}

/* The archive as a whole ------------------------------------------------------------------------------------------- */

static void test_not_a_package(void **state) {
        const struct item items[] = { MANIFEST_ITEM };
        struct bytes empty = { 0 }, text = { 0 }, skippable = { 0 }, noise;

        refused(empty, PACKAGE_E_ARCHIVE, "no zstd-compressed tar");
        refused(tar_of(items, 1), PACKAGE_E_ARCHIVE, "no zstd-compressed tar");
        bytes_add(&text, "hello", 5);
        refused(text, PACKAGE_E_ARCHIVE, "no zstd-compressed tar");
        bytes_add(&skippable, "\x50\x2a\x4d\x18\0\0\0\0", 8);
        noise = good();
        bytes_add(&skippable, noise.data, noise.size);
        bytes_free(&noise);
        refused(skippable, PACKAGE_E_ARCHIVE, "no zstd-compressed tar");
        refused(zstd_of("this is no tar", 14), PACKAGE_E_ARCHIVE, "its tar cannot be read");
        refused(zstd_of("", 0), PACKAGE_E_ARCHIVE, "");
}

static void test_cut_off_anywhere(void **state) {
        struct bytes whole = good();

        for (size_t n = 0; n < whole.size; n++) {
                struct bytes part = { 0 };

                bytes_add(&part, whole.data, n);
                refused(part, PACKAGE_E_ARCHIVE, n < 4 ? "no zstd-compressed tar" : "");
        }
        bytes_free(&whole);
}

/* The frame is whole, the tar in it is not. */
static void test_tar_cut_off_anywhere(void **state) {
        const struct item items[] = { MANIFEST_ITEM, { 'f', "zeros", "" }, { 'f', "x.so", "elf" } };
        struct bytes tar = tar_of(items, N_ELEMENTS(items));

        accepted(zstd_of(tar.data, tar.size));
        for (size_t n = 512; n < tar.size; n += 128)
                refused(zstd_of(tar.data, n), PACKAGE_E_ARCHIVE, "");
        /* Half a mark. */
        refused(zstd_of(tar.data, tar.size - 512), PACKAGE_E_ARCHIVE, "end-of-archive mark");
        refused(zstd_of(tar.data, tar.size - 1024), PACKAGE_E_ARCHIVE, "end-of-archive mark");
        bytes_free(&tar);
}

static void test_damaged(void **state) {
        struct bytes package = good();

        package.data[package.size / 2] ^= 0x55;
        refused(package, PACKAGE_E_ARCHIVE, "");
}

static void test_behind_the_frame(void **state) {
        static const struct {
                const char *data;
                size_t size;
        } tails[] = {
                { "x", 1 },
                { "\0", 1 },
                { "\x50\x2a\x4d\x18\0\0\0\0", 8 },
                { "\x5e\x2a\x4d\x18\x04\0\0\0abcd", 12 },
        };
        struct bytes second = good(), package;

        for (size_t i = 0; i < N_ELEMENTS(tails); i++) {
                package = good();
                bytes_add(&package, tails[i].data, tails[i].size);
                refused(package, PACKAGE_E_TRAILING, "something follows the archive");
        }
        package = good();
        bytes_add(&package, second.data, second.size);
        refused(package, PACKAGE_E_TRAILING, "something follows the archive");
        bytes_free(&second);
}

static void test_behind_the_mark(void **state) {
        const struct item items[] = { MANIFEST_ITEM }, more[] = { { 'f', "hidden", "x" } };
        struct bytes tar = tar_of(items, 1), second = tar_of(more, 1);
        size_t size = tar.size;

        bytes_add(&tar, second.data, second.size);
        refused(zstd_of(tar.data, tar.size), PACKAGE_E_TRAILING, "end-of-archive mark");
        tar.size = size;
        bytes_add(&tar, (uint8_t[9000]){ 0 }, 9000); /* tar pads to 10 KiB */
        accepted(zstd_of(tar.data, tar.size));
        bytes_add(&tar, "x", 1);
        refused(zstd_of(tar.data, tar.size), PACKAGE_E_TRAILING, "end-of-archive mark");
        bytes_free(&tar);
        bytes_free(&second);
}

static void test_signature_frame(void **state) {
        uint8_t frame[SIGNATURE_FRAME_MAX];
        size_t n = signature_frame("not looked at here\n", frame);
        struct bytes package = good();

        bytes_add(&package, frame, n);
        bytes_add(&package, frame, n);
        refused(package, PACKAGE_E_SIGNATURE, "signature frame");
        package = good();
        bytes_add(&package, frame, n);
        accepted(package);
}

static void test_no_room(void **state) {
        struct bytes package = good();
        struct package_report report;
        int fd = file_of(&package), folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(package_unpack(fd, folder, &small, &report) < 0);
        assert_non_null(strstr(report.message, "module.ini: it cannot be written"));
        close(fd);
        close(folder);
        bytes_free(&package);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_contents_and_modes),
                cmocka_unit_test(test_what_was_prepared_in_vain_is_removed),
                cmocka_unit_test(test_offset_is_not_used),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_names_that_are_not_utf8),
                cmocka_unit_test(test_twice),
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_manifest_is_missing),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_claimed_size_is_refused_before_it_is_written),
                cmocka_unit_test(test_count),
                cmocka_unit_test(test_folders_of_paths_count),
                cmocka_unit_test(test_bomb_of_headers),
                cmocka_unit_test(test_bomb_of_zeros_behind),
                cmocka_unit_test(test_not_a_package),
                cmocka_unit_test(test_cut_off_anywhere),
                cmocka_unit_test(test_tar_cut_off_anywhere),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_behind_the_frame),
                cmocka_unit_test(test_behind_the_mark),
                cmocka_unit_test(test_signature_frame),
                cmocka_unit_test(test_no_room),
        };

        const struct CMUnitTest of_prepared[] = {
                cmocka_unit_test(test_contents_and_modes),  cmocka_unit_test(test_paths), cmocka_unit_test(test_twice),
                cmocka_unit_test(test_manifest_is_missing), cmocka_unit_test(test_count),
        };
        int r = cmocka_run_group_tests_name("into an empty folder", tests, NULL, NULL);

        prepared = true;
        return r ? r : cmocka_run_group_tests_name("into a prepared one", of_prepared, NULL, NULL);
}
