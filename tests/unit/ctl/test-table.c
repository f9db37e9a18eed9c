/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns line up, whatever is in them.
 */
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

static void add_row(struct table *t, const char *a, const char *b, const char *c) {
        table_add(t, a);
        table_add(t, b);
        table_add(t, c);
}

static void assert_table(struct table *t, const char *expected) {
        struct capture c;

        assert_int_equal(table_print(t, capture_begin(&c)), 0);
        assert_string_equal(capture_end(&c), expected);
        capture_free(&c);
        table_deinit(t);
}

static void test_columns_are_as_wide_as_their_widest_cell(void **state) {
        struct table t;

        table_init(&t, "NAME >PID LAST");
        add_row(&t, "a", "1", "x");
        add_row(&t, "longer-than-the-heading", "123456", "y");
        assert_int_equal(table_rows(&t), 2);
        assert_table(&t, "NAME                        PID  LAST\n"
                         "a                             1  x\n"
                         "longer-than-the-heading  123456  y\n");
}

static void test_width_is_columns_not_bytes(void **state) {
        struct table t;

        table_init(&t, "A >B C");
        add_row(&t, "\xc3\xa4\xc3\xb6\xc3\xbc", "\xe6\x9d\xb1\xe4\xba\xac", "1");
        add_row(&t, "abcd", "x", "2");
        assert_table(&t, "A        B  C\n"
                         "\xc3\xa4\xc3\xb6\xc3\xbc   \xe6\x9d\xb1\xe4\xba\xac  1\n"
                         "abcd     x  2\n");
}

static void test_a_cell_cannot_leave_its_line(void **state) {
        struct table t;

        table_init(&t, "A B C");
        add_row(&t, "x\ny", "\x1b[2J", "z");
        assert_table(&t, "A    B     C\n"
                         "x y  ?[2J  z\n");
}

static void test_nothing_is_shown_as_a_dash(void **state) {
        struct table t;

        table_init(&t, "A B C");
        add_row(&t, "", NULL, "x");
        assert_table(&t, "A  B  C\n"
                         "-  -  x\n");
}

static void test_a_table_without_rows_has_its_headings(void **state) {
        struct table t;

        table_init(&t, "A >B");
        assert_int_equal(table_rows(&t), 0);
        assert_table(&t, "A  B\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_columns_are_as_wide_as_their_widest_cell),
                cmocka_unit_test(test_width_is_columns_not_bytes),
                cmocka_unit_test(test_a_cell_cannot_leave_its_line),
                cmocka_unit_test(test_nothing_is_shown_as_a_dash),
                cmocka_unit_test(test_a_table_without_rows_has_its_headings),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
