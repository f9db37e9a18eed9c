/* SPDX-License-Identifier: Apache-2.0
 *
 * What a file of conf.d says of a package of another name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/of-scan.h"

#define NAME "a name of a-z, 0-9 and -, beginning with a letter, at most 63 characters"

static int read_as(struct alias *a, const char *file, const char *text) {
        *a = (struct alias){ 0 };
        snprintf(a->shown, sizeof(a->shown), "/etc/socle/conf.d/%s", file);
        return of_read(a, text, strlen(text));
}

static void test_it_names_a_package(void **state) {
        struct alias a;

        assert_int_equal(read_as(&a, "blue.ini", "; the blue one\n[http]\nprefix = 12\n[module]\npriority = 5\nof = hello\n"), 0);
        assert_string_equal(a.name, "blue");
        assert_string_equal(a.said, "hello");
        assert_string_equal(a.origin, "/etc/socle/conf.d/blue.ini:6");
        assert_string_equal(a.error, "");
}

static void test_other_files_are_none(void **state) {
        struct alias a;

        assert_int_equal(read_as(&a, "hello.ini", "[config]\nof = crash\n"), 0);
        assert_string_equal(a.said, "");
        assert_int_equal(read_as(&a, "Anything At All.ini", ""), 0);
        assert_string_equal(a.said, "");
}

static void test_mistakes(void **state) {
        static const struct {
                const char *file, *text, *error;
        } mistakes[] = {
                { "blue.ini", "[module]\nof = Hello", "blue.ini:2: [module] of = Hello: expected " NAME },
                { "blue.ini", "[module]\nof =", "blue.ini:2: [module] of = : expected " NAME },
                { "blue.ini", "\n[module]\nof = blue",
                  "blue.ini:3: [module] of = blue: expected the name of another package: a package is a module of its own name by itself" },
                { "Blue.ini", "[module]\nof = hello", "Blue.ini:2: [module] of = hello: expected it in a file NAME.ini, NAME " NAME },
                { "a234567890123456789012345678901234567890123456789012345678901234.ini", "[module]\nof = hello",
                  "a234567890123456789012345678901234567890123456789012345678901234.ini:2: [module] of = hello: expected it in a file "
                  "NAME.ini, NAME " NAME },
                { "blue.ini", "[module", "blue.ini:1: expected ] behind the section's name" },
        };
        char error[1024];
        struct alias a;

        for (size_t i = 0; i < N_ELEMENTS(mistakes); i++) {
                snprintf(error, sizeof(error), "/etc/socle/conf.d/%s", mistakes[i].error);
                assert_int_equal(read_as(&a, mistakes[i].file, mistakes[i].text), -EINVAL);
                assert_string_equal(a.error, error);
        }
}

static void test_nothing_is_of_what_is_of_another(void **state) {
        struct alias a, b, c;

        assert_int_equal(read_as(&a, "a.ini", "[module]\nof = b"), 0);
        assert_int_equal(read_as(&b, "b.ini", "[module]\nof = a"), 0);
        assert_int_equal(read_as(&c, "c.ini", "[module]\nof = hello"), 0);
        assert_int_equal(of_check(&a, &a), 0);
        assert_int_equal(of_check(&a, &c), 0);
        assert_int_equal(of_check(&c, &a), 0);
        assert_int_equal(of_check(&a, &b), -EINVAL);
        assert_string_equal(a.error, "/etc/socle/conf.d/a.ini:2: [module] of = b: expected the name of a package, and b is itself made by "
                                     "/etc/socle/conf.d/b.ini:2: [module] of = a");
        assert_int_equal(of_check(&b, &a), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_names_a_package),
                cmocka_unit_test(test_other_files_are_none),
                cmocka_unit_test(test_mistakes),
                cmocka_unit_test(test_nothing_is_of_what_is_of_another),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
