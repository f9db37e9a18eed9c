/* SPDX-License-Identifier: Apache-2.0
 *
 * Request targets: hosts, paths in every disguise, queries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/target.h"

struct example {
        const char *target, *host; /* host NULL: there is no Host field */
        const char *expected_host, *expected_path, *expected_query;
        int refusal;
};

#define PATH(raw, path)                                                                                                                    \
        { raw, "h", "h", path, "", 0 }
#define BAD(raw, why)                                                                                                                      \
        { raw, "h", NULL, NULL, NULL, REFUSAL_##why }
#define HOST(raw, host)                                                                                                                    \
        { "/", raw, host, "/", "", 0 }
#define BAD_HOST(raw)                                                                                                                      \
        { "/", raw, NULL, NULL, NULL, REFUSAL_HOST }

static const struct example examples[] = {
        PATH("/", "/"),
        PATH("/a", "/a"),
        PATH("/a/", "/a/"),
        PATH("/a/b/c.txt", "/a/b/c.txt"),
        /* 1. decoded once */
        PATH("/%61%62", "/ab"),
        PATH("/a%20b", "/a b"),
        PATH("/a%2Fb", "/a/b"),
        PATH("/a%2fb", "/a/b"),
        PATH("/%2541", "/%41"),
        PATH("/%25%32%45", "/%2E"),
        PATH("/%C3%A4", "/\xc3\xa4"),
        PATH("/a%0ab", "/a\nb"),
        PATH("/a%3Fb", "/a?b"),
        PATH("/a%23b", "/a#b"),
        PATH("/a+b", "/a+b"),
        BAD("/%", TARGET_ESCAPE),
        BAD("/a%2", TARGET_ESCAPE),
        BAD("/a%zz", TARGET_ESCAPE),
        BAD("/a%2g", TARGET_ESCAPE),
        BAD("/%u0041", TARGET_ESCAPE),
        BAD("/a%00", TARGET_NUL),
        BAD("/%00/../a", TARGET_NUL),
        /* 2. several slashes */
        PATH("//", "/"),
        PATH("//a", "/a"),
        PATH("/a//b", "/a/b"),
        PATH("/a///", "/a/"),
        PATH("/a/%2F/b", "/a/b"),
        /* 3. dots */
        PATH("/.", "/"),
        PATH("/./", "/"),
        PATH("/a/.", "/a/"),
        PATH("/a/./b", "/a/b"),
        PATH("/a/..", "/"),
        PATH("/a/../", "/"),
        PATH("/a/../b", "/b"),
        PATH("/a/b/../../c", "/c"),
        PATH("/a/b/../c/./d/..", "/a/c/"),
        PATH("/a//../b", "/b"),
        PATH("/a/%2e%2e/b", "/b"),
        PATH("/a/%2E./b", "/b"),
        PATH("/a/..%2Fb", "/b"),
        PATH("/a%2F..%2Fb", "/b"),
        PATH("/...", "/..."),
        PATH("/..a", "/..a"),
        PATH("/a..", "/a.."),
        PATH("/.a/.b", "/.a/.b"),
        PATH("/a/%252e%252e/b", "/a/%2e%2e/b"),
        BAD("/..", TARGET_ABOVE_ROOT),
        BAD("/../", TARGET_ABOVE_ROOT),
        BAD("/../a", TARGET_ABOVE_ROOT),
        BAD("/a/../../b", TARGET_ABOVE_ROOT),
        BAD("/%2e%2e/a", TARGET_ABOVE_ROOT),
        BAD("//..", TARGET_ABOVE_ROOT),
        BAD("/a/..%2f..", TARGET_ABOVE_ROOT),
        /* a backslash is a character like any other */
        PATH("/a\\..\\b", "/a\\..\\b"),
        /* queries stay as they are */
        { "/a?b=c", "h", "h", "/a", "b=c", 0 },
        { "/a?", "h", "h", "/a", "", 0 },
        { "/a?b?c", "h", "h", "/a", "b?c", 0 },
        { "/a?%00%zz/../..", "h", "h", "/a", "%00%zz/../..", 0 },
        { "/a/..?b", "h", "h", "/", "b", 0 },
        /* characters */
        BAD("/a#b", TARGET),
        BAD("/a b", TARGET),
        BAD("/\x01", TARGET),
        BAD("/\x7f", TARGET),
        BAD("/\xc3\xa4", TARGET),
        BAD("", TARGET),
        /* forms */
        BAD("a", TARGET),
        BAD("?a", TARGET),
        BAD("*", TARGET),
        BAD("example.com:80", TARGET),
        BAD("ftp://a/", TARGET),
        BAD("http:/a", TARGET),
        { "http://Example.COM:8080/a?b", "other", "example.com", "/a", "b", 0 },
        { "HTTPS://a/../b", "h", NULL, NULL, NULL, REFUSAL_TARGET_ABOVE_ROOT },
        { "https://a", "h", "a", "/", "", 0 },
        { "http://a?b", "h", "a", "/", "b", 0 },
        { "http://[::1]:80/a", "h", "[::1]", "/a", "", 0 },
        BAD("http://", TARGET),
        BAD("http:///a", TARGET_AUTHORITY),
        BAD("http://user@a/", TARGET_AUTHORITY),
        BAD("http://a:b/", TARGET_AUTHORITY),
        BAD("http://:80/", TARGET_AUTHORITY),
        /* hosts */
        { "/", NULL, "", "/", "", 0 },
        HOST("", ""),
        HOST("Example.Com", "example.com"),
        HOST("a:80", "a"),
        HOST("a:", "a"),
        HOST("a.", "a"),
        HOST("a.:80", "a"),
        HOST("127.0.0.1:8080", "127.0.0.1"),
        HOST("[::1]", "[::1]"),
        HOST("[FE80::1]:80", "[fe80::1]"),
        HOST("a_b-c~d", "a_b-c~d"),
        BAD_HOST("a b"),
        BAD_HOST("a/b"),
        BAD_HOST("a@b"),
        BAD_HOST("a?b"),
        BAD_HOST("a,b c"),
        BAD_HOST("a:80:80"),
        BAD_HOST("a:123456"),
        BAD_HOST("a:-1"),
        BAD_HOST(":80"),
        BAD_HOST("[]"),
        BAD_HOST("[::1"),
        BAD_HOST("[::1]a"),
        BAD_HOST("[a/b]"),
        BAD_HOST("\xc3\xa4"),
};

static struct http_text text(const char *s) {
        return (struct http_text){ s, s ? (uint32_t)strlen(s) : 0 };
}

static void check(const struct example *e) {
        size_t size = strlen(e->target);
        /* exactly as much as is promised, so that a sanitizer sees a step too far */
        _cleanup_free_ char *room = malloc(size + 2), *target = malloc(size ? size : 1);
        struct target t = { .path = NULL };
        int r;

        memcpy(target, e->target, size);
        r = target_parse(text("GET"), (struct http_text){ target, (uint32_t)size }, text(e->host), room, &t);
        if (r != e->refusal)
                fail_msg("%s (Host: %s): got %s, expected %s", e->target, e->host, r ? refusal_info((enum refusal)r)->name : "success",
                         e->refusal ? refusal_info((enum refusal)e->refusal)->name : "success");
        if (r)
                return;
        assert_string_equal(t.path, e->expected_path);
        assert_int_equal(t.path_size, strlen(e->expected_path));
        assert_string_equal(t.host, e->expected_host);
        assert_int_equal(t.query.size, strlen(e->expected_query));
        assert_memory_equal(t.query.text, e->expected_query, t.query.size);
        assert_false(t.asterisk);
}

static void test_targets(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(examples); i++)
                check(&examples[i]);
}

static void test_asterisk_is_for_options(void **state) {
        char room[16];
        struct target t;

        assert_int_equal(target_parse(text("OPTIONS"), text("*"), text("h"), room, &t), 0);
        assert_true(t.asterisk);
        assert_string_equal(t.path, "/");
        /* RFC 9110 4.2.3: so is an absolute form whose path is empty */
        assert_int_equal(target_parse(text("OPTIONS"), text("http://i"), text("h"), room, &t), 0);
        assert_true(t.asterisk);
        assert_string_equal(t.host, "i");
        assert_string_equal(t.path, "/");
        assert_int_equal(target_parse(text("OPTIONS"), text("http://i?a"), text("h"), room, &t), 0);
        assert_false(t.asterisk);
        assert_int_equal(target_parse(text("OPTIONS"), text("http://i/"), text("h"), room, &t), 0);
        assert_false(t.asterisk);
        assert_int_equal(target_parse(text("OPTIONS"), text("*/"), text("h"), room, &t), REFUSAL_TARGET);
}

static void test_a_host_has_a_limit(void **state) {
        char host[TARGET_HOST_MAX + 2], room[3];
        struct target t;

        memset(host, 'a', sizeof(host));
        assert_int_equal(target_parse(text("GET"), text("/"), (struct http_text){ host, TARGET_HOST_MAX }, room, &t), 0);
        assert_int_equal(strlen(t.host), TARGET_HOST_MAX);
        assert_int_equal(target_parse(text("GET"), text("/"), (struct http_text){ host, TARGET_HOST_MAX + 1 }, room, &t), REFUSAL_HOST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_asterisk_is_for_options),
                cmocka_unit_test(test_a_host_has_a_limit),
        };

        return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
