/* SPDX-License-Identifier: Apache-2.0
 *
 * msgpack and JSON: each pair both ways, and what only one side can say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/value-json.h"
#include "tests/unit/msgpack/dump.h"
#include "tests/unit/msgpack/vectors.h"

#define B(text)                                                                                                                            \
        { text, sizeof(text) - 1 }

struct bytes {
        const char *data;
        size_t size;
};

static int to_json(struct bytes b, char **ret_text) {
        struct value v;
        size_t size;
        int r;

        *ret_text = NULL;
        assert_int_equal(value_check(b.data, b.size, &v, NULL), 0);
        r = value_to_json(&v, ret_text, &size);
        if (r == 0)
                assert_int_equal(size, strlen(*ret_text));
        return r;
}

static int from_json(const char *text, size_t max, void **ret_data, size_t *ret_size, const char **ret_reason) {
        json_t *j = json_loads(text, VALUE_JSON_FLAGS, NULL);
        int r;

        assert_non_null(j);
        r = value_from_json(j, max, ret_data, ret_size, ret_reason);
        json_decref(j);
        return r;
}

static void test_each_value_both_ways(void **state) {
        static const struct {
                struct bytes packed;
                const char *json;
        } cases[] = {
                { B("\xc0"), "null" },
                { B("\xc3"), "true" },
                { B("\xc2"), "false" },
                { B("\x01"), "1" },
                { B("\xff"), "-1" },
                { B("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807" },
                { B("\xd3\x80\0\0\0\0\0\0\0"), "-9223372036854775808" },
                { B("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "{\"$uint\":\"18446744073709551615\"}" },
                { B("\xcb\x3f\xf0\0\0\0\0\0\0"), "1.0" },
                { B("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1" },
                { B("\xcb\x80\0\0\0\0\0\0\0"), "-0.0" },
                { B("\xcb\x7f\xf0\0\0\0\0\0\0"), "{\"$float\":\"inf\"}" },
                { B("\xcb\xff\xf0\0\0\0\0\0\0"), "{\"$float\":\"-inf\"}" },
                { B("\xa0"), "\"\"" },
                { B("\xa5"
                    "a\"\\\n\0"),
                  "\"a\\\"\\\\\\n\\u0000\"" },
                { B("\xa2\xc3\xa9"), "\"\xc3\xa9\"" },
                { B("\xc4\x03\0\1\2"), "{\"$base64\":\"AAEC\"}" },
                { B("\xc4\x00"), "{\"$base64\":\"\"}" },
                { B("\x90"), "[]" },
                { B("\x92\x01\x90"), "[1,[]]" },
                { B("\x80"), "{}" },
                { B("\x82\xa1"
                    "a\x01\xa1"
                    "b\x81\xa1"
                    "c\xc0"),
                  "{\"a\":1,\"b\":{\"c\":null}}" },
                { B("\x81\xa4$one\x01"), "{\"$$one\":1}" },
                { B("\x81\xa5$$one\x01"), "{\"$$$one\":1}" },
                { B("\x82\xa4$one\x01\xa4$two\x02"), "{\"$one\":1,\"$two\":2}" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = NULL;
                _cleanup_free_ void *data = NULL;
                const char *reason;
                size_t size;

                assert_int_equal(to_json(cases[i].packed, &text), 0);
                assert_string_equal(text, cases[i].json);
                assert_int_equal(from_json(cases[i].json, 1000, &data, &size, &reason), 0);
                assert_int_equal(size, cases[i].packed.size);
                assert_memory_equal(data, cases[i].packed.data, size);
        }
}

static void test_what_only_the_bus_can_say(void **state) {
        static const struct {
                struct bytes packed;
                const char *json;
        } cases[] = {
                { B("\xca\x3f\0\0\0"), "0.5" },
                { B("\xcb\x7f\xf8\0\0\0\0\0\1"), "{\"$float\":\"nan\"}" },
                { B("\xa2\xff\xfe"), "{\"$base64\":\"//4=\"}" },
                { B("\xd4\x05\x01"), "{\"$ext\":[5,\"AQ==\"]}" },
                { B("\xd8\xff"
                    "0123456789abcdef"),
                  "{\"$ext\":[-1,\"MDEyMzQ1Njc4OWFiY2RlZg==\"]}" },
                { B("\xc7\x02\x07\x01\x02"), "{\"$ext\":[7,\"AQI=\"]}" },
                { B("\xc8\x00\x01\x07\x01"), "{\"$ext\":[7,\"AQ==\"]}" },
                { B("\xc9\0\0\0\x01\x07\x01"), "{\"$ext\":[7,\"AQ==\"]}" },
                { B("\x84\x01\x01\xff\x02\xc3\x03\xc0\x04"), "{\"1\":1,\"-1\":2,\"true\":3,\"null\":4}" },
                { B("\x81\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "{\"18446744073709551615\":1}" },
                { B("\xa1\x7f"), "\"\\u007f\"" },
                { B("\xa1\x0b"), "\"\\u000b\"" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = NULL;

                assert_int_equal(to_json(cases[i].packed, &text), 0);
                assert_string_equal(text, cases[i].json);
        }
}

static void test_keys_that_json_cannot_have(void **state) {
        static const struct bytes cases[] = { B("\x81\x90\x01"), B("\x81\xc4\x01x\x01"), B("\x81\xa1\xff\x01"),
                                              B("\x81\xcb\x3f\xf0\0\0\0\0\0\0\x01"), B("\x91\x81\x80\x01") };
        char *text;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(to_json(cases[i], &text), -EINVAL);
}

static void test_arguments_that_are_refused(void **state) {
        static const struct {
                const char *json, *reason;
        } cases[] = {
                { "{\"$base64\": \"AAE\"}", "base64" },
                { "{\"$base64\": \"A*==\"}", "base64" },
                { "{\"$base64\": 1}", "base64" },
                { "{\"$base64\": \"AAEC\\u0000\"}", "base64" },
                { "{\"$uint\": \"-1\"}", "$uint" },
                { "{\"$uint\": \"18446744073709551616\"}", "$uint" },
                { "{\"$uint\": 1}", "$uint" },
                { "{\"$uint\": \"\"}", "$uint" },
                { "{\"$float\": \"NaN\"}", "$float" },
                { "{\"$float\": 1.0}", "$float" },
                { "[{\"$ext\": [1, \"\"]}]", "only key" },
                { "{\"$\": 1}", "only key" },
        };
        const char *reason;
        size_t size;
        void *data;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                assert_int_equal(from_json(cases[i].json, 1000, &data, &size, &reason), -EINVAL);
                assert_non_null(strstr(reason, cases[i].reason));
        }
}

/* As deep as the bus takes it, and no deeper. */
static void test_depth_and_size(void **state) {
        char text[2 * (VALUE_DEPTH_MAX + 1) + 1] = "";
        const char *reason;
        size_t size;
        void *data;
        struct value v;

        memset(text, '[', VALUE_DEPTH_MAX);
        memset(text + VALUE_DEPTH_MAX, ']', VALUE_DEPTH_MAX);
        assert_int_equal(from_json(text, 1000, &data, &size, &reason), 0);
        assert_int_equal(value_check(data, size, &v, NULL), 0);
        free(data);
        memset(text, '[', VALUE_DEPTH_MAX + 1);
        memset(text + VALUE_DEPTH_MAX + 1, ']', VALUE_DEPTH_MAX + 1);
        assert_int_equal(from_json(text, 1000, &data, &size, &reason), -EINVAL);
        assert_non_null(strstr(reason, "deeper"));
        assert_int_equal(from_json("\"1234\"", 5, &data, &size, &reason), 0);
        free(data);
        assert_int_equal(from_json("\"1234\"", 4, &data, &size, &reason), -EMSGSIZE);
        assert_int_equal(from_json("[[[[1]]]]", 3, &data, &size, &reason), -EMSGSIZE);
}

/* All of it to JSON, parsed as strictly as arguments are, and back: the same value but where the table says why not. */
static bool comes_back(const struct vector *c) {
        struct dump was = { .size = 0 }, is = { .size = 0 };
        _cleanup_free_ void *data = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size, text_size, back_size;
        _cleanup_free_ uint8_t *bytes = vector_bytes(c, &size);
        const char *reason = NULL;
        struct value v;
        json_t *j;
        int r;

        assert_int_equal(value_check(bytes, size, &v, NULL), 0);
        dump_value(&was, &v);
        r = value_to_json(&v, &text, &text_size);
        if (r < 0)
                return false;
        assert_true(text_size <= 8 * size + 32); /* a small multiple */
        j = json_loadb(text, text_size, VALUE_JSON_FLAGS, NULL);
        r = j ? value_from_json(j, SIZE_MAX, &data, &back_size, &reason) : -EINVAL;
        json_decref(j);
        if (r < 0)
                return false;
        assert_int_equal(value_check(data, back_size, &v, NULL), 0);
        dump_value(&is, &v);
        return dump_equal(&was, &is);
}

static void test_vectors(void **state) {
        for (const struct vector *c = vectors; c < vectors + n_vectors; c++) {
                if (c->text && comes_back(c) != !c->no_json)
                        fail_msg("%s: %s", c->name, c->no_json ? "it does come back" : "it does not come back");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_value_both_ways),
                cmocka_unit_test(test_what_only_the_bus_can_say),
                cmocka_unit_test(test_keys_that_json_cannot_have),
                cmocka_unit_test(test_arguments_that_are_refused),
                cmocka_unit_test(test_depth_and_size),
                cmocka_unit_test(test_vectors),
        };

        return cmocka_run_group_tests_name("value-json", tests, NULL, NULL);
}
