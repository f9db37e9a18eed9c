/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting what lies in a folder, whatever was done so that it cannot be counted.
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
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/base/disk-count.h"
#include "supervisor/base/workfolder.h"

#define KIB 1024

static char root[] = "/tmp/socle-test-disk.XXXXXX";
static int root_fd = -1;

static int make_root(void **state) {
        strcpy(root, "/tmp/socle-test-disk.XXXXXX");
        if (!mkdtemp(root))
                return -1;
        root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return root_fd < 0;
}

static int remove_root(void **state) {
        uint32_t unused = 0;
        int r = work_empty(root_fd, &unused);

        root_fd = fd_close(root_fd);
        return r || rmdir(root) < 0;
}

static int file_make(int folder, const char *name, size_t kib) {
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        char block[KIB];

        assert_true(fd >= 0);
        memset(block, 1, sizeof(block));
        for (size_t i = 0; i < kib; i++)
                assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
        fsync(fd); /* else it may have no blocks yet */
        return fd;
}

static struct disk_count counted(uint64_t limit, int expected) {
        struct disk_count count = { .limit = limit };

        assert_int_equal(disk_count_folder(root_fd, &count), expected);
        return count;
}

static void test_files_and_folders(void **state) {
        struct disk_count count;

        assert_int_equal(counted(UINT64_MAX, 0).size, 0);
        fd_close(file_make(root_fd, "file", 100));
        fd_close(file_make(root_fd, "empty", 0));
        assert_int_equal(symlinkat("/", root_fd, "link"), 0);
        assert_int_equal(mkdirat(root_fd, "folder", 0700), 0);
        fd_close(file_make(root_fd, "folder/file", 100));
        count = counted(UINT64_MAX, 0);
        assert_int_equal(count.n_entries, 5);
        assert_in_range(count.size, 200 * KIB + 3 * DISK_ENTRY_SIZE, 300 * KIB);
}

static void test_names_of_one_file(void **state) {
        char name[16];

        fd_close(file_make(root_fd, "file", 400));
        for (int i = 0; i < 9; i++) {
                snprintf(name, sizeof(name), "name-%d", i);
                assert_int_equal(linkat(root_fd, "file", root_fd, name, 0), 0);
        }
        assert_in_range(counted(UINT64_MAX, 0).size, 390 * KIB, 500 * KIB);
}

static void test_it_ends_beyond_the_limit(void **state) {
        struct disk_count count;
        char name[16];

        for (int i = 0; i < 100; i++) {
                snprintf(name, sizeof(name), "%d", i);
                fd_close(file_make(root_fd, name, 0));
        }
        count = counted(10 * DISK_ENTRY_SIZE, 0);
        assert_int_equal(count.n_entries, 11);
        assert_int_equal(count.size, 11 * DISK_ENTRY_SIZE);
}

static void nest(unsigned n) {
        int folder = dup(root_fd);

        while (n--) {
                int below;

                assert_int_equal(mkdirat(folder, "d", 0700), 0);
                below = openat(folder, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                fd_close(folder);
                folder = below;
        }
        fd_close(folder);
}

static void test_how_deep(void **state) {
        nest(DISK_DEPTH_MAX);
        assert_int_equal(counted(UINT64_MAX, 0).n_entries, DISK_DEPTH_MAX);
}

static void test_too_deep(void **state) {
        nest(DISK_DEPTH_MAX + 1);
        counted(UINT64_MAX, -ENAMETOOLONG);
}

/* Root may look everywhere. */
static void test_where_nobody_may_look(void **state) {
        int status;
        pid_t pid;

        assert_int_equal(mkdirat(root_fd, "hidden", 0700), 0);
        fd_close(file_make(root_fd, "hidden/file", 100));
        if (!geteuid())
                assert_true(fchown(root_fd, 4711, 4711) == 0 && fchownat(root_fd, "hidden", 4711, 4711, 0) == 0);
        assert_int_equal(fchmodat(root_fd, "hidden", 0, 0), 0);
        assert_int_equal(fchmod(root_fd, 0), 0);
        pid = fork();
        if (pid == 0) {
                struct disk_count count = { .limit = UINT64_MAX };

                if (!geteuid() && setresuid(4711, 4711, 4711) < 0)
                        _exit(1);
                _exit(disk_count_folder(root_fd, &count) || count.n_entries != 2 || count.size < 100 * KIB ? 2 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(fchmod(root_fd, 0700), 0);
}

static void test_what_is_deleted(void **state) {
        struct disk_count count = { .limit = UINT64_MAX };
        int named = file_make(root_fd, "named", 100), deleted = file_make(root_fd, "deleted", 200);
        struct stat st;

        assert_int_equal(unlinkat(root_fd, "deleted", 0), 0);
        assert_int_equal(fstat(root_fd, &st), 0);
        assert_int_equal(disk_count_deleted(getpid(), st.st_dev, &count), 0);
        assert_int_equal(count.n_entries, 1);
        assert_in_range(count.size, 200 * KIB, 260 * KIB);
        fd_close(named);
        fd_close(deleted);
        count = (struct disk_count){ .limit = UINT64_MAX };
        assert_int_equal(disk_count_deleted(getpid(), st.st_dev, &count), 0);
        assert_int_equal(count.size, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_files_and_folders, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_names_of_one_file, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_it_ends_beyond_the_limit, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_how_deep, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_too_deep, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_where_nobody_may_look, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_what_is_deleted, make_root, remove_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
