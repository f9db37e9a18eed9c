/* SPDX-License-Identifier: Apache-2.0
 *
 * Where values come from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "conf/base-config.h"
#include "conf/key-origins.h"
#include "conf/manifest.h"

static void test_the_last_file_is_the_origin(void **state) {
        static const char first[] = "[base]\nname = a\n\n[packages]\nexclude = x\n", second[] = "[packages]\ninclude = y\nexclude = z\n";
        struct base_config c;
        char error[200];

        base_config_init(&c);
        assert_null(key_origin(&c.origins, "base", "name"));
        assert_int_equal(base_config_parse(&c, "socled.conf", first, strlen(first), error, sizeof(error)), 0);
        assert_int_equal(base_config_parse(&c, "d/1.conf", second, strlen(second), error, sizeof(error)), 0);
        assert_string_equal(key_origin(&c.origins, "base", "name"), "socled.conf:2");
        assert_string_equal(key_origin(&c.origins, "packages", "exclude"), "d/1.conf:3");
        assert_string_equal(key_origin(&c.origins, "packages", "include"), "d/1.conf:2");
        assert_null(key_origin(&c.origins, "base", "ready"));
        base_config_deinit(&c);
}

static void test_one_moves(void **state) {
        struct text_list to = { 0 }, from = { 0 };

        assert_int_equal(key_origin_note(&to, "a", "x", "old", 1), 0);
        assert_int_equal(key_origin_note(&to, "b", "x", "old", 2), 0);
        assert_int_equal(key_origin_note(&from, "a", "y", "new", 3), 0);
        assert_int_equal(key_origin_note(&from, "b", "y", "new", 4), 0);
        assert_int_equal(key_origin_move(&to, &from, "a", "x"), 0);
        assert_int_equal(key_origin_move(&to, &from, "a", "y"), 0);
        assert_null(key_origin(&to, "a", "x"));
        assert_string_equal(key_origin(&to, "a", "y"), "new:3");
        assert_string_equal(key_origin(&to, "b", "x"), "old:2");
        assert_string_equal(key_origin(&from, "b", "y"), "new:4");
        text_list_deinit(&to);
        text_list_deinit(&from);
}

static void test_free_keys_have_origins(void **state) {
        static const char text[] = "[module]\nname = m\n[config]\ncolour = red\n";
        struct manifest m;
        char error[200];

        manifest_init(&m);
        assert_int_equal(manifest_parse(&m, "module.ini", text, strlen(text), false, error, sizeof(error)), 0);
        assert_string_equal(key_origin(&m.origins, "config", "colour"), "module.ini:4");
        assert_string_equal(key_origin(&m.origins, "module", "name"), "module.ini:2");
        manifest_deinit(&m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_last_file_is_the_origin),
                cmocka_unit_test(test_one_moves),
                cmocka_unit_test(test_free_keys_have_origins),
        };

        return cmocka_run_group_tests_name("key-origins", tests, NULL, NULL);
}
