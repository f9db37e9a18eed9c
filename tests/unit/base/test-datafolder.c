/* SPDX-License-Identifier: Apache-2.0
 *
 * Data folders: made once, opened again, and never given from one owner to another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/base/datafolder.h"

static char root[] = "/tmp/socle-test-data.XXXXXX";
static int root_fd = -1;

static int make_root(void **state) {
        strcpy(root, "/tmp/socle-test-data.XXXXXX");
        if (!mkdtemp(root))
                return -1;
        root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return root_fd < 0;
}

static int remove_root(void **state) {
        unlinkat(root_fd, "kv/file", 0);
        unlinkat(root_fd, "kv", AT_REMOVEDIR);
        unlinkat(root_fd, "kv", 0);
        root_fd = fd_close(root_fd);
        return rmdir(root);
}

static uid_t another(void) {
        return geteuid() ? geteuid() : 4711;
}

static void check_folder(int fd, uid_t uid) {
        struct stat st;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISDIR(st.st_mode));
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(st.st_uid, uid);
        assert_int_equal(st.st_gid, geteuid() ? getegid() : uid);
}

static void test_made_once(void **state) {
        _cleanup_close_ int first = -1, second = -1, file = -1;
        mode_t before = umask(0377);

        first = data_open(root_fd, "kv", another());
        umask(before);
        check_folder(first, another());
        file = openat(first, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(file >= 0);
        second = data_open(root_fd, "kv", another());
        check_folder(second, another());
        assert_int_equal(faccessat(second, "file", F_OK, 0), 0);
}

static void test_not_given_away(void **state) {
        if (geteuid())
                skip();
        fd_close(data_open(root_fd, "kv", 4711));
        assert_int_equal(data_open(root_fd, "kv", 4712), -EPERM);
}

static void test_no_folder(void **state) {
        assert_int_equal(symlinkat("/tmp", root_fd, "kv"), 0);
        assert_true(data_open(root_fd, "kv", another()) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_made_once, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_not_given_away, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_no_folder, make_root, remove_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
