/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of packages: staged, published, removed, tidied.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/installer/store.h"
#include "tests/unit/conf/package-fixture.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char path[64];
static int packages;

static int setup(void **state) {
        packages = folder_make(path);
        return 0;
}

static int teardown(void **state) {
        close(packages);
        folder_remove(path);
        return 0;
}

static unsigned count(void) {
        DIR *dir = opendir(path);
        struct dirent *d;
        unsigned n = 0;

        while ((d = readdir(dir)))
                n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && strcmp(d->d_name, ".boot") != 0;
        closedir(dir);
        return n;
}

static void stage(uint64_t number) {
        int fd = store_stage(packages, number), file;

        assert_return_code(fd, -fd);
        assert_return_code(mkdirat(fd, "sub", 0755), errno);
        assert_return_code(mkdirat(fd, "sub/sub", 0500), errno);
        assert_return_code(symlinkat("/", fd, "link"), errno);
        file = openat(fd, "sub/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_return_code(file, errno);
        close(file);
        close(fd);
}

static void test_names(void **state) {
        char wrong[STORE_HASH_SIZE] = A;

        assert_true(store_hash_ok(A, STORE_HASH_SIZE));
        for (const char *c = "A./g\n"; *c; c++) {
                wrong[5] = *c;
                assert_false(store_hash_ok(wrong, STORE_HASH_SIZE));
        }
        assert_false(store_hash_ok("aa\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", STORE_HASH_SIZE));
        memset(wrong, 'a', sizeof(wrong));
        assert_false(store_hash_ok(wrong, STORE_HASH_SIZE));
}

static void test_published(void **state) {
        int fd;

        assert_int_equal(store_open(packages, A), -ENOENT);
        stage(1);
        assert_int_equal(store_open(packages, A), -ENOENT);
        assert_int_equal(store_publish(packages, 1, A), 0);
        fd = store_open(packages, A);
        assert_return_code(fd, -fd);
        assert_int_equal(faccessat(fd, "sub/file", F_OK, 0), 0);
        close(fd);
        assert_int_equal(count(), 1);
}

static void test_never_overwritten(void **state) {
        stage(1);
        assert_int_equal(store_publish(packages, 1, A), 0);
        stage(1);
        assert_true(store_publish(packages, 1, A) < 0);
        assert_int_equal(store_unstage(packages, 1), 0);
        assert_int_equal(count(), 1);
}

static void test_staged_twice(void **state) {
        int fd;

        stage(1);
        fd = store_stage(packages, 1);
        assert_return_code(fd, -fd);
        assert_int_equal(faccessat(fd, "sub", F_OK, 0), -1);
        close(fd);
}

static void test_removed(void **state) {
        stage(1);
        stage(2);
        assert_int_equal(store_publish(packages, 1, A), 0);
        assert_int_equal(store_remove(packages, A), 0);
        assert_int_equal(store_remove(packages, A), 0);
        assert_int_equal(count(), 1);
        assert_int_equal(store_unstage(packages, 2), 0);
        assert_int_equal(count(), 0);
        /* The link in it was removed, not followed. */
        assert_int_equal(access("/etc", F_OK), 0);
}

static void test_tidied(void **state) {
        assert_int_equal(store_tidy(packages), 0);
        stage(1);
        assert_int_equal(store_publish(packages, 1, A), 0);
        stage(1);
        stage(2);
        assert_return_code(mkdirat(packages, "." B ".gone", 0755), errno);
        assert_int_equal(count(), 4);
        assert_int_equal(store_tidy(packages), 0);
        assert_int_equal(count(), 1);
        assert_int_equal(faccessat(packages, A "/sub/file", F_OK, 0), 0);
}

/* After a power loss a name may stand for a folder of empty files. */
static void test_another_boot(void **state) {
        int fd;

        stage(1);
        assert_int_equal(store_publish(packages, 1, A), 0);
        assert_int_equal(store_tidy(packages), 0); /* nothing says of which boot it is */
        assert_int_equal(count(), 0);
        stage(1);
        assert_int_equal(store_publish(packages, 1, A), 0);
        assert_int_equal(store_tidy(packages), 0);
        assert_int_equal(count(), 1);
        fd = openat(packages, ".boot", O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(fd, "not", 3), 3);
        close(fd);
        assert_int_equal(store_tidy(packages), 0);
        assert_int_equal(count(), 0);
        assert_int_equal(store_tidy(packages), 0);
}

/* Not made by unpacking, but it must not take the stack. */
static void test_too_deep(void **state) {
        int fd = store_stage(packages, 1), at = dup(fd);

        for (int i = 0; i < 200; i++) {
                int next;

                assert_return_code(mkdirat(at, "d", 0755), errno);
                next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                close(at);
                at = next;
        }
        close(at);
        close(fd);
        assert_int_equal(store_unstage(packages, 1), -ELOOP);
}

int main(void) {
#define ROOM(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                ROOM(test_names),   ROOM(test_published), ROOM(test_never_overwritten), ROOM(test_staged_twice),
                ROOM(test_removed), ROOM(test_tidied),    ROOM(test_another_boot),      ROOM(test_too_deep),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
