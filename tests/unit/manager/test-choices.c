/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the choices file, and the store under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/store.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_good_lines(void **state) {
        struct remembered r;

        assert_int_equal(choices_parse_line("hello 1.0.0 " SHA " 7 -", &r), 0);
        assert_string_equal(r.name, "hello");
        assert_string_equal(r.version, "1.0.0");
        assert_string_equal(r.sha256, SHA);
        assert_int_equal(r.choice, 7);
        assert_false(r.failed);
        assert_false(r.by_api);
        assert_int_equal(choices_parse_line("hello 1.0.0 " SHA " 18446744073709551615 fa", &r), 0);
        assert_true(r.failed);
        assert_true(r.by_api);
        assert_true(r.choice == UINT64_MAX);
}

static void test_bad_lines(void **state) {
        static const char *const lines[] = {
                "",
                "hello",
                "hello 1.0.0 " SHA " 7",
                "hello 1.0.0 " SHA " 7 x",
                "hello 1.0.0 " SHA " 7 - more",
                "Hello 1.0.0 " SHA " 7 -",
                "hello 1.0 " SHA " 7 -",
                "hello 1.0.0 0123 7 -",
                "hello 1.0.0 " SHA " x -",
        };
        struct remembered r;

        for (size_t i = 0; i < N_ELEMENTS(lines); i++)
                assert_int_equal(choices_parse_line(lines[i], &r), -EINVAL);
}

static void test_the_store_replaces_a_file_as_a_whole(void **state) {
        char folder[] = "/tmp/socle-store-XXXXXX";
        _cleanup_free_ char *text = NULL;
        size_t size;
        int fd;

        assert_non_null(mkdtemp(folder));
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(store_read(fd, "f", &text, &size), -ENOENT);
        assert_int_equal(store_write(fd, "f", "one", 3), 0);
        assert_int_equal(store_write(fd, "f", "second", 6), 0);
        assert_int_equal(store_read(fd, "f", &text, &size), 0);
        assert_int_equal(size, 6);
        assert_string_equal(text, "second");
        assert_int_equal(faccessat(fd, ".f.new", F_OK, 0), -1);
        assert_int_equal(unlinkat(fd, "f", 0), 0);
        close(fd);
        assert_int_equal(rmdir(folder), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_lines),
                cmocka_unit_test(test_bad_lines),
                cmocka_unit_test(test_the_store_replaces_a_file_as_a_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
