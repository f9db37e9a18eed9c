/* SPDX-License-Identifier: Apache-2.0
 *
 * The forms of a log line, and the limit: pure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/log-bucket.h"
#include "supervisor/manager/log-line.h"

#define T(text) text, sizeof(text) - 1

static void test_clean_text(void **state) {
        static const struct {
                const char *text;
                size_t size;
                const char *clean;
        } cases[] = {
                { T(""), "" },
                { T("plain text, \t tab \\ backslash"), "plain text, \t tab \\ backslash" },
                { T("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8e\x89"), "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8e\x89" },
                { T("a\nb\rc"), "a\\nb\\rc" },
                { T("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f" },
                { T("\0a\0\0b\0"), "ab" },
                { T("\xff\x80\xc3"), "\\xff\\x80\\xc3" },                                                       /* alone, or cut off */
                { T("\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf"), "\\xc0\\xaf\\xe0\\x80\\xaf\\xf0\\x80\\x80\\xaf" }, /* too long */
                { T("\xed\xa0\x80\xf4\x90\x80\x80\xf8\x88\x80\x80\x80"), "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xf8\\x88\\x80\\x80\\x80" },
                { T("\xc2\x9b"
                    "1m"),
                  "\\xc2\\x9b1m" }, /* CSI of C1 */
                { T("\xe2\x80\xae\xe2\x80\xa8\xef\xbb\xbf"), "\\xe2\\x80\\xae\\xe2\\x80\\xa8\\xef\\xbb\\xbf" },
        };
        char clean[LOG_CLEAN_MAX + 1];

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                size_t n = log_text_clean(cases[i].text, cases[i].size, clean);

                clean[n] = '\0';
                assert_string_equal(clean, cases[i].clean);
                assert_int_equal(n, strlen(cases[i].clean));
        }
}

static void test_clean_text_is_bounded(void **state) {
        static char worst[LOG_TEXT_MAX], clean[LOG_CLEAN_MAX];

        memset(worst, 0xff, sizeof(worst));
        assert_int_equal(log_text_clean(worst, sizeof(worst), clean), LOG_CLEAN_MAX);
}

static void test_prefix(void **state) {
        static const struct {
                const char *text;
                size_t size;
                uint32_t level;
        } cases[] = { { "<3>x", 3, 3 }, { "<0>", 3, 2 },   { "<7>", 3, 7 },  { "<8>x", 0, 6 },
                      { "<3", 0, 6 },   { "<33>x", 0, 6 }, { "x<3>", 0, 6 }, { "", 0, 6 } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                uint32_t level = 6;

                assert_int_equal(log_prefix(cases[i].text, strlen(cases[i].text), &level), cases[i].size);
                assert_int_equal(level, cases[i].level);
        }
}

static void test_levels(void **state) {
        uint32_t level = 99;

        for (uint32_t i = 0; i < 8; i++) {
                assert_int_equal(log_level_parse(log_level_name(i), &level), 0);
                assert_int_equal(level, i);
        }
        assert_int_equal(log_level_parse("loud", &level), -EINVAL);
        assert_string_equal(log_level_name(UINT32_MAX), "debug");
}

static void test_a_line_of_a_file_is_read_back(void **state) {
        const struct log_line line = { .time_ns = UINT64_C(1795000000123456789),
                                       .instance = 7,
                                       .level = 4,
                                       .source = LOG_FROM_stderr,
                                       .version = "1.2.3",
                                       .text = "a b  c",
                                       .size = 6 };
        static char text[LOG_LINE_MAX];
        struct log_line back;
        size_t n = log_line_format(&line, text);

        assert_int_equal(text[n - 1], '\n');
        text[n - 1] = '\0';
        assert_string_equal(text, "2026-11-18T11:06:40.123Z warning 1.2.3 #7 stderr a b  c");
        assert_int_equal(log_line_parse(text, &back), 0);
        assert_int_equal(back.time_ns, UINT64_C(1795000000123000000));
        assert_true(back.instance == 7 && back.level == 4 && back.source == LOG_FROM_stderr && back.size == 6);
        assert_string_equal(back.version, "1.2.3");
        assert_string_equal(back.text, "a b  c");
}

static void test_other_lines_are_not_read(void **state) {
        static const char *const lines[] = {
                "",
                " ",
                "x",
                "2026-11-23T20:33:49.123Z",
                "2026-11-23T20:33:49.123Z info 1.0.0 #7 stdout",
                "2026-11-23T20:33:49.123Z info 1.0.0 7 log a",
                "2026-11-23T20:33:49.123Z loud 1.0.0 #7 log a",
                "2026-11-23T20:33:49.123Z info 1.0.0 #7 radio a",
                "yesterday info 1.0.0 #7 log a",
                "2026-11-23T20:33:49Z info 1.0.0 #7 log a",
                "2026-11-23T20:33:49.12Z info 1.0.0 #7 log a",
        };

        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                char text[128];
                struct log_line line;

                strcpy(text, lines[i]);
                assert_int_equal(log_line_parse(text, &line), -EINVAL);
        }
}

static void test_json(void **state) {
        const struct log_line line = {
                .instance = 7, .module = "m", .version = "1.0.0", .level = 6, .source = LOG_FROM_log, .text = "a \"b\"!", .size = 5
        };
        json_t *j = log_line_json(&line);
        _cleanup_free_ char *text = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);

        assert_string_equal(
                text, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"module\":\"m\",\"version\":\"1.0.0\",\"instance\":7,"
                      "\"source\":\"log\",\"text\":\"a \\\"b\\\"\"}");
        json_decref(j);
}

/* The limit ---------------------------------------------------------------------------------------------------------- */

static unsigned take_all(struct log_bucket *b, uint64_t now) {
        unsigned n = 0;

        while (log_bucket_take(b, now))
                n++;
        return n;
}

static void test_bucket(void **state) {
        struct log_bucket b = { 0 };
        uint64_t now = 1000 * NS_PER_S;

        log_bucket_set(&b, 10, 25);
        assert_int_equal(take_all(&b, now), 25);
        assert_int_equal(take_all(&b, now + NS_PER_S / 2), 5);
        assert_int_equal(take_all(&b, now + NS_PER_S / 2), 0);
        assert_int_equal(take_all(&b, now + NS_PER_S), 5);
        /* never more than the burst, however long it was quiet */
        assert_int_equal(take_all(&b, now + 1000 * NS_PER_S), 25);
}

static void test_bucket_changes(void **state) {
        struct log_bucket b = { 0 };
        uint64_t now = 1000 * NS_PER_S;

        log_bucket_set(&b, 1, 100);
        take_all(&b, now);
        log_bucket_set(&b, 1000000, 1);
        assert_int_equal(take_all(&b, now), 0);
        assert_int_equal(take_all(&b, now + 101 * NS_PER_S), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clean_text),
                cmocka_unit_test(test_clean_text_is_bounded),
                cmocka_unit_test(test_prefix),
                cmocka_unit_test(test_levels),
                cmocka_unit_test(test_a_line_of_a_file_is_read_back),
                cmocka_unit_test(test_other_lines_are_not_read),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_bucket),
                cmocka_unit_test(test_bucket_changes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
