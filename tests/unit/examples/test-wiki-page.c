/* SPDX-License-Identifier: Apache-2.0
 *
 * The wiki's text: what becomes of names, forms, links and frames, and that nothing of it is markup by accident.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "examples/common/utf8.h"
#include "examples/wiki/page.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

struct pair {
        const char *in, *out;
};

/* Writes into memory and compares. */
static void check_written(void (*write)(FILE *f, const char *text, size_t size), const struct pair *pairs, size_t n) {
        for (size_t i = 0; i < n; i++) {
                char *text = NULL;
                size_t size;
                FILE *f = open_memstream(&text, &size);

                write(f, pairs[i].in, strlen(pairs[i].in));
                fclose(f);
                assert_string_equal(text, pairs[i].out);
                free(text);
        }
}

static void test_names(void **state) {
        static const char *const good[] = { "Home", "a", "7", "v1.0_x-y",
                                            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
        static const char *const bad[] = { "",         ".",    "..",
                                           ".x",       "-x",   "a b",
                                           "a/b",      "a<b",  "a\"",
                                           "\xc3\xa4", "a%2f", "a\nb",
                                           "a\x01",    "a?b",  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                assert_true(page_name_ok(good[i], strlen(good[i])));
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(page_name_ok(bad[i], strlen(bad[i])));
        assert_false(page_name_ok("a\0b", 3));
}

static void test_escape(void **state) {
        static const struct pair pairs[] = {
                { "", "" },
                { "plain \xc3\xa4", "plain \xc3\xa4" },
                { "<script>alert(\"x\" & 'y')</script>", "&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)&lt;/script&gt;" },
        };

        check_written(html_escape, pairs, N_ELEMENTS(pairs));
}

static void test_links(void **state) {
        static const struct pair pairs[] = {
                { "see [[Home]], [[a]].", "see [Home](/wiki/Home), [a](/wiki/a)." },
                { "[[Home]]", "[Home](/wiki/Home)" },
                { "[[]] [[a b]] [[x](y)] [[../z]]", "[[]] [[a b]] [[x](y)] [[../z]]" },
                { "[[a[[b]]", "[[a[b](/wiki/b)" },
                { "[[open", "[[open" },
                { "[[", "[[" },
                { "`[[Home]]` and ``x ` [[Home]]``", "`[[Home]]` and ``x ` [[Home]]``" },
                { "```sh\n[[ -e x ]] && [[Home]]\n```\n[[Home]]", "```sh\n[[ -e x ]] && [[Home]]\n```\n[Home](/wiki/Home)" },
                { "a ` alone [[Home]]", "a ` alone [Home](/wiki/Home)" },
        };

        check_written(page_write_links, pairs, N_ELEMENTS(pairs));
}

static void test_frame(void **state) {
        static const struct page_parts parts = { .title = "a<b", .actions = "<a>e</a>", .content = "<p>{{title}}</p>" };
        static const struct pair pairs[] = {
                { "", "" },
                { "no parts", "no parts" },
                { "<title>{{title}}</title>{{actions}}{{content}}.", "<title>a&lt;b</title><a>e</a><p>{{title}}</p>." },
                { "{{other}} {{titl}} {{", "{{other}} {{titl}} {{" },
                { "a { b } {{title", "a { b } {{title" },
        };

        for (size_t i = 0; i < N_ELEMENTS(pairs); i++) {
                char *text = NULL;
                size_t size;
                FILE *f = open_memstream(&text, &size);

                page_write(f, pairs[i].in, strlen(pairs[i].in), &parts);
                fclose(f);
                assert_string_equal(text, pairs[i].out);
                free(text);
        }
}

static void test_form(void **state) {
        static const struct {
                const char *form, *name;
                int result;
                const char *text;
        } examples[] = {
                { "text=hello", "text", 0, "hello" },
                { "a=1&text=x+y%26z&b=2", "text", 0, "x y&z" },
                { "a=1&text=x&b=2", "b", 0, "2" },
                { "text=", "text", 0, "" },
                { "text=a%0D%0Ab%0ac%0D", "text", 0, "a\nb\nc\r" },
                { "text=%C3%A4", "text", 0, "\xc3\xa4" },
                { "text=100%", "text", 0, "100%" },
                { "text=%zz%4", "text", 0, "%zz%4" },
                { "", "text", -ENOENT, NULL },
                { "text", "text", -ENOENT, NULL },
                { "texts=1", "text", -ENOENT, NULL },
                { "xtext=1&&", "text", -ENOENT, NULL },
                { "text=a%00b", "text", -EINVAL, NULL },
        };

        for (size_t i = 0; i < N_ELEMENTS(examples); i++) {
                /* Exactly as large: a byte too far is seen by the sanitizer. */
                size_t size = strlen(examples[i].form), n = 0;
                char *form = malloc(size ? size : 1), *text = NULL;

                memcpy(form, examples[i].form, size);
                assert_int_equal(form_field(form, size, examples[i].name, &text, &n), examples[i].result);
                if (examples[i].text) {
                        assert_string_equal(text, examples[i].text);
                        assert_int_equal(n, strlen(examples[i].text));
                }
                free(text);
                free(form);
        }
}

static void test_revision(void **state) {
        assert_true(text_revision("", 0) == text_revision("x", 0));
        assert_true(text_revision("a", 1) != text_revision("b", 1));
        assert_true(text_revision("a", 1) != text_revision("a\0", 2));
}

static void test_utf8(void **state) {
        static const char *const good[] = {
                "", "plain", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"
        };
        static const char *const bad[] = {
                "\x80", "\xc3",     "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                "\xff", "\xe2\x82", "a\xc3z"
        };

        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                assert_true(utf8_ok(good[i], strlen(good[i])));
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(utf8_ok(bad[i], strlen(bad[i])));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names), cmocka_unit_test(test_escape),   cmocka_unit_test(test_links), cmocka_unit_test(test_frame),
                cmocka_unit_test(test_form),  cmocka_unit_test(test_revision), cmocka_unit_test(test_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
