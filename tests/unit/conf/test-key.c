/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of keys, and the list of strings that holds some of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/key-table.h"
#include "conf/key.h"
#include "ipc/cleanup.h"

/* Numbers ------------------------------------------------------------------------------------------------------------ */

typedef int (*number_parser)(const char *, uint64_t *);

static const struct {
        number_parser parse;
        const char *text;
        int result;
        uint64_t value;
} numbers[] = {
        { key_parse_count, "0", 0, 0 },
        { key_parse_count, "12", 0, 12 },
        { key_parse_count, "007", 0, 7 },
        { key_parse_count, "18446744073709551615", 0, UINT64_MAX },
        { key_parse_count, "18446744073709551616", -ERANGE, 0 },
        { key_parse_count, "99999999999999999999999999", -ERANGE, 0 },
        { key_parse_count, "", -EINVAL, 0 },
        { key_parse_count, "-1", -EINVAL, 0 },
        { key_parse_count, "+1", -EINVAL, 0 },
        { key_parse_count, " 1", -EINVAL, 0 },
        { key_parse_count, "1 ", -EINVAL, 0 },
        { key_parse_count, "0x10", -EINVAL, 0 },
        { key_parse_count, "1.5", -EINVAL, 0 },
        { key_parse_size, "64K", 0, 65536 },
        { key_parse_size, "16M", 0, 16u << 20 },
        { key_parse_size, "1G", 0, 1u << 30 },
        { key_parse_size, "2T", 0, UINT64_C(2) << 40 },
        { key_parse_size, "16777215T", 0, UINT64_C(16777215) << 40 },
        { key_parse_size, "16777216T", -ERANGE, 0 },
        { key_parse_size, "99999999999999999999K", -ERANGE, 0 },
        { key_parse_size, "99999999999999999999X", -EINVAL, 0 },
        { key_parse_size, "12", -EINVAL, 0 },
        { key_parse_size, "0", -EINVAL, 0 },
        { key_parse_size, "K", -EINVAL, 0 },
        { key_parse_size, "1k", -EINVAL, 0 },
        { key_parse_size, "1KB", -EINVAL, 0 },
        { key_parse_size, "1 K", -EINVAL, 0 },
        { key_parse_size, "1.5M", -EINVAL, 0 },
        { key_parse_time, "250ms", 0, 250 },
        { key_parse_time, "2s", 0, 2000 },
        { key_parse_time, "5m", 0, 300000 },
        { key_parse_time, "1h", 0, 3600000 },
        { key_parse_time, "0s", 0, 0 },
        { key_parse_time, "5124095576030431h", -ERANGE, 0 },
        { key_parse_time, "2", -EINVAL, 0 },
        { key_parse_time, "1d", -EINVAL, 0 },
        { key_parse_time, "1h30m", -EINVAL, 0 },
        { key_parse_time, "s", -EINVAL, 0 },
        { key_parse_percent, "50%", 0, 50 },
        { key_parse_percent, "250%", 0, 250 },
        { key_parse_percent, "50", -EINVAL, 0 },
        { key_parse_percent, "50 %", -EINVAL, 0 },
        { key_parse_percent, "%", -EINVAL, 0 },
};

static void test_numbers(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
                uint64_t value = 77;
                int r = numbers[i].parse(numbers[i].text, &value);

                if (r != numbers[i].result || value != (r < 0 ? 77 : numbers[i].value))
                        fail_msg("%s: %d, %llu", numbers[i].text, r, (unsigned long long)value);
        }
}

static void test_numbers_are_shown_in_their_largest_unit(void **state) {
        static const struct {
                void (*format)(uint64_t, char *);
                uint64_t value;
                const char *text;
        } cases[] = {
                { key_format_count, 0, "0" },         { key_format_count, UINT64_MAX, "18446744073709551615" },
                { key_format_size, 65536, "64K" },    { key_format_size, 1536u << 10, "1536K" },
                { key_format_size, 1u << 20, "1M" },  { key_format_size, UINT64_C(16) << 40, "16T" },
                { key_format_time, 250, "250ms" },    { key_format_time, 1500, "1500ms" },
                { key_format_time, 60000, "1m" },     { key_format_time, 90000, "90s" },
                { key_format_time, 86400000, "24h" }, { key_format_time, 0, "0ms" },
                { key_format_percent, 200, "200%" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                char text[KEY_NUMBER_SIZE];

                cases[i].format(cases[i].value, text);
                assert_string_equal(text, cases[i].text);
        }
}

/* Words and forms ---------------------------------------------------------------------------------------------------- */

static void test_words(void **state) {
        static const char *const yes[] = { "yes", "true", "on" }, *const no[] = { "no", "false", "off" }, *const neither[] = { "",
                                                                                                                               "Yes",
                                                                                                                               "1",
                                                                                                                               "y",
                                                                                                                               "no|yes",
                                                                                                                               "yes " };
        bool value = false;

        for (size_t i = 0; i < N_ELEMENTS(yes); i++) {
                assert_int_equal(key_parse_bool(yes[i], &value), 0);
                assert_true(value);
                assert_int_equal(key_parse_bool(no[i], &value), 0);
                assert_false(value);
        }
        for (size_t i = 0; i < N_ELEMENTS(neither); i++)
                assert_int_equal(key_parse_bool(neither[i], &value), -EINVAL);
        assert_int_equal(key_parse_choice("replace", "replace|standby|side-by-side"), 0);
        assert_int_equal(key_parse_choice("side-by-side", "replace|standby|side-by-side"), 2);
        assert_int_equal(key_parse_choice("stand", "replace|standby|side-by-side"), -EINVAL);
}

static char long_text[2048];

/* '/' and n - 1 times 'a'. */
static const char *path_of(size_t n) {
        memset(long_text, 'a', n);
        long_text[0] = '/';
        long_text[n] = '\0';
        return long_text;
}

static void test_forms(void **state) {
        static const struct {
                bool (*ok)(const char *);
                const char *good[10], *bad[20];
        } forms[] = {
                { key_entry_ok,
                  { "hello.so", "lib/hello.so", "a/b/c", ".hidden", "..a", "a b.so" },
                  { "", "/hello.so", "..", "../a", "a/../b", "a/..", ".", "./a", "a/.", "a//b", "a/" } },
                { key_prefix_ok,
                  { "", "/", "/app", "/app/v1", "/.well-known", "/caf\xc3\xa9", "/a.b" },
                  { "app", "/app/", "//", "//a", "/a//b", "/a/..", "/..", "/.", "/a/./b", "/a?b", "/a#b", "/a b", "/%61", "/a\\b" } },
                { key_host_ok,
                  { "example.org", "localhost", "10.0.0.1", "a-b.c", "xn--bcher-kva.example" },
                  { "", "Example.org", "example.org:80", "*.example.org", ".org", "org.", "a..b", "-a.b", "a-.b", "[::1]", "a_b",
                    "b\xc3\xbc" } },
                { key_path_ok,
                  { "/", "/etc", "/usr/share/doc", "/a b" },
                  { "", "etc", "./a", "/etc/", "//etc", "/etc/..", "/../etc", "/a/./b" } },
                { key_object_ok,
                  { "libcmark.so.0", "/opt/lib/a.so" },
                  { "", "lib/a.so", "./a.so", "/", "a b.so", "/opt/../a.so", "/opt/a b.so", ".." } },
                { key_call_ok,
                  { "kv", "kv.get", "key-value.get-all" },
                  { "", ".get", "kv.", "kv.get.x", "Kv", "kv.Get", "kv.get?", "*", "kv.*" } },
                { key_board_ok, { "site", "*", "a.b/c" }, { "", "a b", "a\tb" } },
                { key_env_name_ok,
                  { "PATH", "LANG", "TZ", "_x", "LD_LIBRARY_PATH", "a1" },
                  { "", "1A", "A-B", "A B", "HOME", "TMPDIR", "SOCLE_DATA", "A=B", "\xc3\xa9" } },
                { key_config_name_ok, { "a", "A.b-c_9", "9" }, { "", "a b", "a/b", "a=b", "\xc3\xa9" } },
        };

        for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
                for (size_t j = 0; forms[i].good[j]; j++)
                        if (!forms[i].ok(forms[i].good[j]))
                                fail_msg("form %zu refuses \"%s\"", i, forms[i].good[j]);
                for (size_t j = 0; forms[i].bad[j]; j++)
                        if (forms[i].ok(forms[i].bad[j]))
                                fail_msg("form %zu takes \"%s\"", i, forms[i].bad[j]);
        }
}

static void test_forms_have_a_longest(void **state) {
        assert_true(key_prefix_ok(path_of(127)));
        assert_false(key_prefix_ok(path_of(128)));
        assert_true(key_path_ok(path_of(1023)));
        assert_false(key_path_ok(path_of(1024)));
        assert_true(key_entry_ok(path_of(256) + 1));
        assert_false(key_entry_ok(path_of(257) + 1));
        assert_true(key_text_ok(path_of(255)));
        assert_false(key_text_ok(path_of(256)));
        assert_true(key_board_ok(path_of(127)));
        assert_false(key_board_ok(path_of(128)));
        assert_true(key_config_name_ok(path_of(128) + 1));
        assert_false(key_config_name_ok(path_of(129) + 1));
        assert_true(key_env_name_ok(path_of(128) + 1));
        assert_false(key_env_name_ok(path_of(129) + 1));
        assert_true(key_call_ok(path_of(64) + 1));
        assert_false(key_call_ok(path_of(65) + 1));
        assert_true(key_host_ok(path_of(64) + 1)); /* a label */
        assert_false(key_host_ok(path_of(65) + 1));
        path_of(129);
        long_text[40] = long_text[80] = '.';
        assert_false(key_host_ok(long_text + 1)); /* the whole */
        assert_true(key_host_ok(long_text + 2));
}

static void test_utf8(void **state) {
        static const char *const good[] = {
                "", "abc\t", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"
        };
        static const char *const bad[] = { "\x01",
                                           "\r",
                                           "\x1b[31m",
                                           "\x7f",
                                           "\x80",
                                           "\xc3",
                                           "\xc0\x80",
                                           "\xc1\xbf",
                                           "\xe0\x9f\xbf",
                                           "\xed\xa0\x80",
                                           "\xf0\x8f\xbf\xbf",
                                           "\xf4\x90\x80\x80",
                                           "\xf5\x80\x80\x80",
                                           "\xff",
                                           "\xe2\x82",
                                           "a\xc3(" };

        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                assert_true(key_utf8_ok(good[i], strlen(good[i])));
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(key_utf8_ok(bad[i], strlen(bad[i])));
        assert_false(key_utf8_ok("a\0b", 3));
        assert_false(key_utf8_ok("\xe2\x82\xac", 2)); /* not one byte is read behind the size */
}

/* Lists -------------------------------------------------------------------------------------------------------------- */

static void test_a_list_owns_copies(void **state) {
        struct text_list list = { 0 };
        char text[8] = "abcdef";

        for (int i = 0; i < 100; i++)
                assert_int_equal(text_list_add(&list, text, (size_t)i % 6), 0);
        text[0] = 'X';
        assert_int_equal(list.n, 100);
        assert_string_equal(list.items[0], "");
        assert_string_equal(list.items[99], "abc");
        assert_true(text_list_has(&list, "abcde"));
        assert_false(text_list_has(&list, "abcdef"));
        text_list_deinit(&list);
        assert_int_equal(list.n, 0);
        assert_false(text_list_has(&list, "abc"));
        text_list_deinit(&list);
}

static void check_list(const char *text, int result, size_t n, const char *last) {
        struct text_list list = { 0 };

        assert_int_equal(key_list_parse(&list, text, key_config_name_ok), result);
        if (result == 0) {
                assert_int_equal(list.n, n);
                if (n)
                        assert_string_equal(list.items[n - 1], last);
        }
        text_list_deinit(&list);
}

static void test_lists_are_split_at_commas(void **state) {
        check_list("", 0, 0, NULL);
        check_list(" \t", 0, 0, NULL);
        check_list("a", 0, 1, "a");
        check_list(" a ,b,\tc ", 0, 3, "c");
        check_list("a,", -EINVAL, 0, NULL);
        check_list(",a", -EINVAL, 0, NULL);
        check_list("a,,b", -EINVAL, 0, NULL);
        check_list("a, ,b", -EINVAL, 0, NULL);
        check_list("a b", -EINVAL, 0, NULL);
        check_list("a, b, a", -EINVAL, 0, NULL);
}

static void test_lists_have_a_longest(void **state) {
        char text[KEY_ITEMS_MAX * 5 + 8] = "";
        size_t used = 0;

        for (int i = 0; i < KEY_ITEMS_MAX; i++)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "%si%d", i ? "," : "", i);
        check_list(text, 0, KEY_ITEMS_MAX, "i255");
        strcpy(text + used, ",x");
        check_list(text, -EINVAL, 0, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_numbers_are_shown_in_their_largest_unit),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_forms_have_a_longest),
                cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_a_list_owns_copies),
                cmocka_unit_test(test_lists_are_split_at_commas),
                cmocka_unit_test(test_lists_have_a_longest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
