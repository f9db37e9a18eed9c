/* SPDX-License-Identifier: Apache-2.0
 *
 * traceparent (W3C Trace Context, 3.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/trace.h"

#define ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void test_what_is_one(void **state) {
        static const char *const texts[] = { "00-" ID "-" SPAN "-01", "00-" ID "-" SPAN "-00", "00-" ID "-" SPAN "-03",
                                             "01-" ID "-" SPAN "-01", "cc-" ID "-" SPAN "-01-what-the-future-will-be" };
        char back[TRACE_TEXT_SIZE];
        struct trace t;

        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                assert_true(trace_parse(texts[i], strlen(texts[i]), &t));
                assert_int_equal(t.parent, 0xb7ad6b7169203331);
                assert_int_equal(t.id[0], 0x0a);
                assert_int_equal(t.id[15], 0x9c);
                assert_int_equal(t.sampled, i != 1);
        }
        assert_true(trace_parse(texts[0], strlen(texts[0]), &t));
        trace_format(&t, back);
        assert_string_equal(back, texts[0]);
        t.sampled = false;
        trace_format(&t, back);
        assert_string_equal(back, texts[1]);
}

static void test_what_is_none(void **state) {
        static const char *const texts[] = { "",
                                             "00-" ID "-" SPAN "-0",
                                             "00-" ID "-" SPAN "-01-more",
                                             "00-" ID "-" SPAN "-01.",
                                             "cc-" ID "-" SPAN "-01.what",
                                             "ff-" ID "-" SPAN "-01",
                                             "00-00000000000000000000000000000000-" SPAN "-01",
                                             "00-" ID "-0000000000000000-01",
                                             "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
                                             "00-" ID "-" SPAN "-0g",
                                             "0x-" ID "-" SPAN "-01",
                                             "00+" ID "-" SPAN "-01",
                                             "00-" ID "+" SPAN "-01",
                                             "00-" ID "-" SPAN "+01" };
        struct trace t;

        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                assert_false(trace_parse(texts[i], strlen(texts[i]), &t));
}

static void test_new_ones_differ(void **state) {
        struct trace a = trace_new(), b = trace_new(), back;
        char text[TRACE_TEXT_SIZE];

        assert_memory_not_equal(a.id, b.id, sizeof(a.id));
        assert_int_equal(a.parent, 0);
        a.parent = trace_span_new();
        assert_int_not_equal(a.parent, trace_span_new());
        trace_format(&a, text);
        assert_true(trace_parse(text, strlen(text), &back));
        assert_memory_equal(back.id, a.id, sizeof(a.id));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_one),
                cmocka_unit_test(test_what_is_none),
                cmocka_unit_test(test_new_ones_differ),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
