/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the access log: each form, and bytes that would like to be more than
 * bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/access-line.h"

#define T(text)                                                                                                                            \
        { text, sizeof(text) - 1 }

static const struct access_line whole = {
        .client = T("192.0.2.1"),
        .method = T("GET"),
        .host = T("shop.example"),
        .path = T("/a%20b"),
        .query = T("q=1"),
        .status = 200,
        .bytes_in = 7,
        .bytes_out = 134,
        .duration_us = 56,
        .module = T("shop"),
        .version = T("1.0.0"),
        .instance = 9,
        .trace = T("0123456789abcdef0123456789abcdef"),
        .user_agent = T("curl/8"),
        .referer = T("http://r/"),
        .time_ms = UINT64_C(1796000005) * 1000 + 42,
        .minor = 1,
};

static const char *format(const struct access_line *line, enum control_access_format form) {
        static char text[ACCESS_LINE_MAX + 1];
        size_t n = access_line_format(line, form, text);

        assert_true(n < ACCESS_LINE_MAX);
        text[n] = '\0';
        assert_int_equal(strlen(text), n); /* no NUL */
        assert_int_equal(text[n - 1], '\n');
        return text;
}

static void test_combined(void **state) {
        const struct access_line none = { .client = T("unix:"), .status = 400, .bytes_out = 280 };

        assert_string_equal(format(&whole, ACCESS_COMBINED),
                            "192.0.2.1 - - [30/Nov/2026:00:53:25 +0000] \"GET /a%20b?q=1 HTTP/1.1\" 200 134 \"http://r/\" \"curl/8\"\n");
        assert_string_equal(format(&none, ACCESS_COMBINED), "unix: - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 280 \"-\" \"-\"\n");
}

static void test_json(void **state) {
        assert_string_equal(format(&whole, ACCESS_JSON),
                            "{\"time\":\"2026-11-30T00:53:25.042Z\",\"client\":\"192.0.2.1\",\"method\":\"GET\",\"host\":\"shop.example\","
                            "\"path\":\"/a%20b\",\"query\":\"q=1\",\"status\":200,\"bytes_in\":7,\"bytes_out\":134,\"duration_us\":56,"
                            "\"module\":\"shop\",\"version\":\"1.0.0\",\"instance\":9,\"trace\":\"0123456789abcdef0123456789abcdef\","
                            "\"user_agent\":\"curl/8\",\"referer\":\"http://r/\"}\n");
}

static void test_journal(void **state) {
        assert_string_equal(format(&whole, ACCESS_JOURNAL),
                            "MESSAGE=192.0.2.1 \"GET /a%20b?q=1 HTTP/1.1\" 200\nCLIENT=192.0.2.1\nHTTP_METHOD=GET\n"
                            "HTTP_HOST=shop.example\nHTTP_PATH=/a%20b\nHTTP_QUERY=q=1\nHTTP_STATUS=200\nBYTES_IN=7\nBYTES_OUT=134\n"
                            "DURATION_US=56\nMODULE=shop\nVERSION=1.0.0\nINSTANCE=9\nTRACE=0123456789abcdef0123456789abcdef\n"
                            "HTTP_USER_AGENT=curl/8\nHTTP_REFERER=http://r/\n\n");
}

/* Hostile bytes ---------------------------------------------------------------------------------------------------------- */

static const struct {
        const char *text;
        size_t size;
        const char *combined, *json, *journal;
} cases[] = {
#define CASE(text, combined, json, journal) { text, sizeof(text) - 1, combined, json, journal },
        /* the end of the field, of the line, of the record; a line of one's own */
        CASE("a\" 200 0 \"-\" \"x", "a\\x22 200 0 \\x22-\\x22 \\x22x", "a\\\" 200 0 \\\"-\\\" \\\"x",
             "a\" 200 0 \"-\" \"x") CASE("a\n192.0.2.9 - -", "a\\x0a192.0.2.9 - -", "a\\u000a192.0.2.9 - -", "a\\x0a192.0.2.9 - -")
                CASE("a\n\nMESSAGE=b", "a\\x0a\\x0aMESSAGE=b", "a\\u000a\\u000aMESSAGE=b", "a\\x0a\\x0aMESSAGE=b")
                        CASE("a\r\nb", "a\\x0d\\x0ab", "a\\u000d\\u000ab", "a\\x0d\\x0ab") CASE("a\0b", "a\\x00b", "a\\u0000b", "a\\x00b")
                                CASE("\\\"", "\\x5c\\x22", "\\\\\\\"", "\\x5c\"") CASE("\\", "\\x5c", "\\\\", "\\x5c")
        /* what steers a terminal, or turns the line around */
        CASE("\x1b[2J\t\x7f", "\\x1b[2J\\x09\\x7f", "\\u001b[2J\\u0009\\u007f", "\\x1b[2J\\x09\\x7f")
                CASE("\xc2\x9b"
                     "2J",
                     "\\xc2\\x9b2J", "\\u009b2J", "\\xc2\\x9b2J") CASE("\xe2\x80\xae"
                                                                       "txt.exe",
                                                                       "\\xe2\\x80\\xaetxt.exe", "\\u202etxt.exe", "\\xe2\\x80\\xaetxt.exe")
                        CASE("\xe2\x80\xa8", "\\xe2\\x80\\xa8", "\\u2028", "\\xe2\\x80\\xa8")
        /* UTF-8, and what is none: a lone byte, one too long, cut off, a surrogate, too high */
        CASE("caf\xc3\xa9 \xf0\x9f\x8d\xb5", "caf\\xc3\\xa9 \\xf0\\x9f\\x8d\\xb5", "caf\xc3\xa9 \xf0\x9f\x8d\xb5",
             "caf\xc3\xa9 \xf0\x9f\x8d\xb5") CASE("\xff", "\\xff", "\\ufffd", "\\xff")
                CASE("\xc0\xaf", "\\xc0\\xaf", "\\ufffd\\ufffd", "\\xc0\\xaf")
                        CASE("x\xe2\x82", "x\\xe2\\x82", "x\\ufffd\\ufffd", "x\\xe2\\x82") CASE("\xed\xa0\x80", "\\xed\\xa0\\x80",
                                                                                                "\\ufffd\\ufffd\\ufffd", "\\xed\\xa0\\x80")
                                CASE("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd", "\\xf4\\x90\\x80\\x80")
#undef CASE
};

static void expect_part(const char *text, const char *before, const char *part, const char *behind) {
        char wanted[256];

        snprintf(wanted, sizeof(wanted), "%s%s%s", before, part, behind);
        if (!strstr(text, wanted))
                fail_msg("%s is not in %s", wanted, text);
}

static size_t count(const char *text, char c) {
        size_t n = 0;

        for (; *text; text++)
                n += *text == c;
        return n;
}

/* In every field that a client has a say in. */
static void test_no_field_says_more_than_itself(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct http_text t = { cases[i].text, (uint32_t)cases[i].size };
                struct access_line line = whole;
                const char *text;

                line.method = line.host = line.path = line.query = line.user_agent = line.referer = t;
                text = format(&line, ACCESS_COMBINED);
                expect_part(text, "] \"", cases[i].combined, " ");
                expect_part(text, "\" \"", cases[i].combined, "\"\n");
                assert_int_equal(count(text, '\n'), 1);
                assert_int_equal(count(text, '"'), 6);
                text = format(&line, ACCESS_JSON);
                expect_part(text, "\"path\":\"", cases[i].json, "\",\"query\"");
                expect_part(text, "\"referer\":\"", cases[i].json, "\"}\n");
                assert_int_equal(count(text, '\n'), 1);
                text = format(&line, ACCESS_JOURNAL);
                expect_part(text, "\nHTTP_PATH=", cases[i].journal, "\nHTTP_QUERY=");
                assert_int_equal(count(text, '\n'), 17);
        }
}

static void test_every_byte(void **state) {
        for (unsigned a = 0; a < 256; a++) {
                for (unsigned b = 0; b < 256; b++) {
                        const char bytes[] = { (char)a, (char)b };
                        struct access_line line = whole;

                        line.user_agent = (struct http_text){ bytes, 2 };
                        for (int form = 0; form < ACCESS_N_FORMATS; form++) {
                                const char *text = format(&line, (enum control_access_format)form);

                                assert_int_equal(count(text, '\n'), form == ACCESS_JOURNAL ? 17 : 1);
                                for (const char *c = text; *c; c++)
                                        assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
                        }
                }
        }
}

/* The longest there can be, of bytes that become longest. */
static void test_long_fields_are_cut(void **state) {
        struct access_line line = whole;
        char *bytes = malloc(70000);
        const char *text;

        memset(bytes, '"', 70000);
        line.client = line.method = line.host = line.path = line.query = line.module = line.version = line.trace = line.user_agent =
                line.referer = (struct http_text){ bytes, 70000 };
        line.status = line.bytes_in = line.bytes_out = line.duration_us = line.instance = UINT64_MAX;
        for (int form = 0; form < ACCESS_N_FORMATS; form++)
                format(&line, (enum control_access_format)form);
        memset(bytes, '\xff', 70000);
        for (int form = 0; form < ACCESS_N_FORMATS; form++)
                format(&line, (enum control_access_format)form);

        /* exactly as long as may be, and one more */
        line = whole;
        memset(bytes, 'x', 70000);
        line.user_agent = (struct http_text){ bytes, 512 };
        text = format(&line, ACCESS_JSON);
        assert_null(strstr(text, "..."));
        line.user_agent.size = 513;
        text = format(&line, ACCESS_JSON);
        expect_part(text, "xx", "...", "\",\"referer\"");
        assert_int_equal(count(strstr(text, "user_agent") + 12, 'x'), 509);
        /* not within an escape */
        bytes[508] = '\n';
        text = format(&line, ACCESS_JSON);
        expect_part(text, "x", "...", "\",\"referer\"");
        assert_int_equal(count(strstr(text, "user_agent") + 12, 'x'), 508);
        free(bytes);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_combined),   cmocka_unit_test(test_json),
                cmocka_unit_test(test_journal),    cmocka_unit_test(test_no_field_says_more_than_itself),
                cmocka_unit_test(test_every_byte), cmocka_unit_test(test_long_fields_are_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
