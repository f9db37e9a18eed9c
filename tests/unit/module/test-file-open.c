/* SPDX-License-Identifier: Apache-2.0
 *
 * Which paths are files of a folder, and what is known of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "libmodule/file-open.h"
#include "libmodule/worker-internal.h"

#define NOW 1795000000

static char root[] = "/tmp/socle-file-open-XXXXXX";
static char granted[64], granted_file[64];

static void put(const char *name, const char *text) {
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        fd_close(fd);
}

static int set_up(void **state) {
        static struct worker_settings settings;
        static const char *read[2];

        if (!mkdtemp(root) || chdir(root) < 0 || mkdir("www", 0755) || mkdir("www/sub", 0755) || mkdir("www-more", 0755))
                return -1;
        put("www/a.txt", "a");
        put("www/sub/b.txt", "bb");
        put("www-more/c.txt", "c");
        put("outside.txt", "outside");
        if (symlink("../outside.txt", "www/out") || symlink("/etc/passwd", "www/absolute") || symlink("sub/b.txt", "www/in") ||
            symlink("..", "www/up") || symlink("loop", "www/loop") || symlink("/proc/self/fd/0", "www/magic") || mkfifo("www/fifo", 0644))
                return -1;
        snprintf(granted, sizeof(granted), "%s/www", root);
        snprintf(granted_file, sizeof(granted_file), "%s/outside.txt", root);
        read[0] = granted;
        read[1] = granted_file;
        settings.read = read;
        settings.n_read = 2;
        the_worker.start.settings = &settings;
        the_worker.start.package = open("www", O_PATH | O_DIRECTORY | O_CLOEXEC);
        the_worker.start.work = open("www/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        the_worker.start.data = -1;
        return the_worker.start.package < 0 || the_worker.start.work < 0;
}

static int tear_down(void **state) {
        char command[96];

        snprintf(command, sizeof(command), "rm -rf '%s'", root);
        fd_close(the_worker.start.package);
        fd_close(the_worker.start.work);
        return chdir("/") || system(command);
}

static void expect(enum socle_folder folder, const char *path, int result, uint64_t size) {
        struct file_opened file;
        int r = file_open(folder, path, NOW, &file);

        if (r != result || (!r && file.size != size))
                fail_msg("%d:%s: got %d, %llu bytes", folder, path, r, r ? 0ULL : (unsigned long long)file.size);
        if (!r)
                fd_close(file.fd);
}

static void test_below_a_folder(void **state) {
        static const char *const nothing[] = {
                "none",  "out",  "absolute", "up/outside.txt", "../outside.txt", "sub/../../outside.txt", "loop",
                "magic", "fifo", "a.txt/",   "a.txt/x",        "/etc/passwd",    "up/www/a.txt"
        };

        expect(SOCLE_FOLDER_PACKAGE, "a.txt", 0, 1);
        expect(SOCLE_FOLDER_PACKAGE, "/a.txt", 0, 1);
        expect(SOCLE_FOLDER_PACKAGE, "//sub//b.txt", 0, 2);
        expect(SOCLE_FOLDER_PACKAGE, "sub/../a.txt", 0, 1);
        expect(SOCLE_FOLDER_PACKAGE, "in", 0, 2);
        expect(SOCLE_FOLDER_WORK, "b.txt", 0, 2);
        expect(SOCLE_FOLDER_PACKAGE, "sub", -EISDIR, 0);
        expect(SOCLE_FOLDER_PACKAGE, "sub/", -EISDIR, 0);
        expect(SOCLE_FOLDER_PACKAGE, "", -EISDIR, 0);
        expect(SOCLE_FOLDER_PACKAGE, "/", -EISDIR, 0);
        for (size_t i = 0; i < N_ELEMENTS(nothing); i++)
                expect(SOCLE_FOLDER_PACKAGE, nothing[i], SOCLE_E_NOT_FOUND, 0);
        expect(SOCLE_FOLDER_DATA, "a.txt", SOCLE_E_NOT_FOUND, 0);
        expect((enum socle_folder)99, "a.txt", -EINVAL, 0);
}

/* The way without openat2() leads nowhere where the other does not, and follows no link. */
static void test_step_by_step(void **state) {
        static const struct {
                const char *path;
                int result; /* 0: it is opened */
        } cases[] = {
                { "a.txt", 0 },
                { "/a.txt", 0 },
                { "//sub//b.txt", 0 },
                { "./sub/./b.txt", 0 },
                { "sub", 0 },
                { "sub/", 0 },
                { "", 0 },
                { ".", 0 },
                { "fifo", 0 },
                { "none", -ENOENT },
                { "in", -ELOOP },
                { "out", -ELOOP },
                { "up/a.txt", -ENOTDIR },
                { "..", -EXDEV },
                { "sub/../a.txt", -EXDEV },
                { "a.txt/", -ENOTDIR },
                { "a.txt/x", -ENOTDIR },
                { "../outside.txt", -EXDEV },
                { "magic", -ELOOP },
        };
        char longest[300];

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int fd = file_open_steps(the_worker.start.package, cases[i].path);

                if (MIN(fd, 0) != cases[i].result)
                        fail_msg("%s: got %d", cases[i].path, fd);
                fd_close(fd);
        }
        memset(longest, 'x', sizeof(longest));
        longest[sizeof(longest) - 1] = '\0';
        assert_int_equal(file_open_steps(the_worker.start.package, longest), -ENAMETOOLONG);
}

static void test_granted_paths(void **state) {
        static const struct {
                const char *path;
                int result;
                uint64_t size;
        } cases[] = {
                { "/www/a.txt", 0, 1 },
                { "/www//sub/b.txt", 0, 2 },
                { "/www", -EISDIR, 0 },
                { "/outside.txt", 0, 7 },
                { "/www-more/c.txt", SOCLE_E_NOT_FOUND, 0 },
                { "/www/../outside.txt", SOCLE_E_NOT_FOUND, 0 },
                { "/www/out", SOCLE_E_NOT_FOUND, 0 },
                { "/outside.txt/x", SOCLE_E_NOT_FOUND, 0 },
                { "/outside.txtx", SOCLE_E_NOT_FOUND, 0 },
                { "", SOCLE_E_NOT_FOUND, 0 },
        };
        char path[128];

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                snprintf(path, sizeof(path), "%s%s", root, cases[i].path);
                expect(SOCLE_FOLDER_GRANTED, path, cases[i].result, cases[i].size);
        }
        expect(SOCLE_FOLDER_GRANTED, "www/a.txt", SOCLE_E_NOT_FOUND, 0);
        expect(SOCLE_FOLDER_GRANTED, "", SOCLE_E_NOT_FOUND, 0);
}

static struct file_opened open_at(int64_t changed_s) {
        const struct timespec times[2] = { { changed_s, 5 }, { changed_s, 5 } };
        struct file_opened file;

        assert_int_equal(utimensat(AT_FDCWD, "www/a.txt", times, 0), 0);
        assert_int_equal(file_open(SOCLE_FOLDER_PACKAGE, "a.txt", NOW, &file), 0);
        fd_close(file.fd);
        return file;
}

static void test_validators(void **state) {
        struct file_opened old = open_at(NOW - 2), young = open_at(NOW - 1), future = open_at(NOW + 100), ancient = open_at(-100);

        assert_false(old.weak);
        assert_true(young.weak && future.weak);
        assert_int_equal(old.modified_s, NOW - 2);
        assert_int_equal(future.modified_s, NOW); /* RFC 9110 8.8.2.1 */
        assert_int_equal(ancient.modified_s, 0);
        assert_string_not_equal(old.tag, young.tag);
        assert_int_equal(old.tag[0], '"');
        assert_int_equal(old.tag[strlen(old.tag) - 1], '"');
        put("www/new", "b");
        assert_int_equal(rename("www/new", "www/a.txt"), 0);
        assert_string_not_equal(open_at(NOW - 2).tag, old.tag); /* another file of the same size and time */
}

static void test_types(void **state) {
        static const struct {
                const char *path, *type;
        } cases[] = {
                { "index.html", "text/html; charset=utf-8" },
                { "a/b.JS", "text/javascript; charset=utf-8" },
                { "x.tar.gz", "application/gzip" },
                { "none", "application/octet-stream" },
                { "a.html/none", "application/octet-stream" },
                { "x.", "application/octet-stream" },
                { "", "application/octet-stream" },
                { "x.htmlx", "application/octet-stream" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_string_equal(file_type(cases[i].path), cases[i].type);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_below_a_folder), cmocka_unit_test(test_step_by_step), cmocka_unit_test(test_granted_paths),
                cmocka_unit_test(test_validators),     cmocka_unit_test(test_types),
        };

        return cmocka_run_group_tests_name("file-open", tests, set_up, tear_down);
}
