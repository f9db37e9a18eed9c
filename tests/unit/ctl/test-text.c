/* SPDX-License-Identifier: Apache-2.0
 *
 * Foreign text cannot steer a terminal; numbers are short.
 */
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

static const struct {
        const char *text, *clean;
        size_t width;
} texts[] = {
        { "", "", 0 },
        { "plain", "plain", 5 },
        { "Gr\xc3\xbc\xc3\x9f"
          "e",
          "Gr\xc3\xbc\xc3\x9f"
          "e",
          5 },
        { "\xe6\x9d\xb1\xe4\xba\xac", "\xe6\x9d\xb1\xe4\xba\xac", 4 }, /* wide */
        { "e\xcc\x81", "e\xcc\x81", 1 },                               /* combining */
        { "a\nb\tc\rd", "a b c d", 7 },
        { "\x1b[31mred\x1b]0;title\x07", "?[31mred?]0;title?", 18 },
        { "del\x7f", "del?", 4 },
        { "c1\xc2\x9b"
          "31m",
          "c1?31m", 6 },                          /* CSI as one character */
        { "\xff\xfe", "??", 2 },                  /* not UTF-8 */
        { "cut\xc3", "cut?", 4 },                 /* ends in the middle */
        { "\xc0\xaf", "??", 2 },                  /* overlong */
        { "\xe2\x80\xaetxt.exe", "?txt.exe", 8 }, /* right-to-left override */
        { "a\xe2\x80\x8b"
          "b",
          "a?b", 3 },                             /* zero-width space */
        { "line\xe2\x80\xa8sep", "line?sep", 8 }, /* U+2028 */
};

static void test_control_characters_are_replaced(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                _cleanup_free_ char *clean = text_clean(texts[i].text);
                struct capture c;

                assert_string_equal(clean, texts[i].clean);
                assert_int_equal(text_width(texts[i].text), texts[i].width);
                assert_int_equal(text_width(clean), texts[i].width);
                text_put(capture_begin(&c), texts[i].text);
                assert_string_equal(capture_end(&c), texts[i].clean);
                capture_free(&c);
        }
}

static void test_a_line_ends_only_where_it_is_meant_to(void **state) {
        struct capture c;

        text_line(capture_begin(&c), "a\n", "b", "");
        assert_string_equal(capture_end(&c), "a b\n");
        capture_free(&c);
}

/* A line of a log may be long: each character costs the same, or this test takes minutes. */
static void test_long_text(void **state) {
        const size_t size = 8u << 20;
        _cleanup_free_ char *text = malloc(size + 1);

        memset(text, 'x', size);
        text[size] = '\0';
        assert_int_equal(text_width(text), size);
}

static void test_sizes(void **state) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                { 0, "0B" },        { 1, "1B" },           { 1023, "1023B" },      { 1024, "1K" },
                { 1536, "1.5K" },   { 12897485, "12.3M" }, { 128u << 20, "128M" }, { 1048575, "1M" },
                { 102349, "100K" }, { 1u << 30, "1G" },    { UINT64_MAX, "16E" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_string_equal(text_size(cases[i].bytes).text, cases[i].text);
}

static void test_durations(void **state) {
        static const struct {
                uint64_t us;
                const char *text;
        } cases[] = {
                { 0, "0us" },
                { 310, "310us" },
                { 999, "999us" },
                { 1400, "1.4ms" },
                { 128000, "128ms" },
                { 999999, "999ms" },
                { 1000000, "1s" },
                { 59999999, "59s" },
                { 312000000, "5m12s" },
                { UINT64_C(7980) * 1000000, "2h13m" },
                { UINT64_C(273600) * 1000000, "3d4h" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_string_equal(text_duration_us(cases[i].us).text, cases[i].text);
}

static void test_stamps(void **state) {
        assert_string_equal(text_ms(0).text, "0.000 ms");
        assert_string_equal(text_ms(1400000).text, "1.400 ms");
        assert_string_equal(text_ms(210499).text, "0.210 ms");
        assert_string_equal(text_ms(UINT64_C(12000000500)).text, "12000.001 ms");
        assert_string_equal(text_number(-1).text, "-");
        assert_string_equal(text_number(0).text, "0");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_control_characters_are_replaced),
                cmocka_unit_test(test_a_line_ends_only_where_it_is_meant_to),
                cmocka_unit_test(test_long_text),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_durations),
                cmocka_unit_test(test_stamps),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
