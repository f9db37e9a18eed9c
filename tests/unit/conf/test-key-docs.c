/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/module.ini.md and docs/socled.conf.md say of each key what the tables
 * say, and of no other. argv: the two files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "ipc/cleanup.h"

static const char *module_ini, *socled_conf;

static char *file_text(const char *path) {
        FILE *f = fopen(path, "re");
        char *text = calloc(1, 1 << 20);

        assert_non_null(f);
        assert_non_null(text);
        assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
        fclose(f);
        return text;
}

static void row(const struct key *key, char *text, size_t size) {
        const char *later = key->flags & KEY_LATER ? "*Not in force yet.* " : key->flags & KEY_RELOAD ? "*Reload.* " : "";
        char form[512];

        key_describe(key, form, sizeof(form));
        if (key->fallback)
                snprintf(text, size, "\n| `%s` | `%s` | %s | %s%s |\n", key->name, key->fallback, form, later, key->text);
        else
                snprintf(text, size, "\n| `%s` | %s | %s | %s%s |\n", key->name, key->flags & KEY_REQUIRED ? "required" : "", form, later,
                         key->text);
}

/* The text of "## [section]" up to the next heading. */
static char *section_text(const char *text, const char *section, const char *argument) {
        const char *begin, *end;
        char heading[80];

        snprintf(heading, sizeof(heading), "\n## [%s%s%s]\n", section, argument ? " " : "", argument ? argument : "");
        begin = strstr(text, heading);
        if (!begin) {
                fail_msg("no heading%s", heading);
                return NULL;
        }
        end = strstr(begin + 4, "\n## ");
        return strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
}

static size_t count(const char *text, const char *what) {
        size_t n = 0;

        for (; (text = strstr(text, what)); text++)
                n++;
        return n;
}

static void check_keys(const struct key_table *table, const char *argument, const char *text, const char *path) {
        for (size_t i = 0; i < table->n_keys; i++) {
                _cleanup_free_ char *section = section_text(text, table->keys[i].section, argument);
                char expected[1024];

                row(&table->keys[i], expected, sizeof(expected));
                if (!strstr(section, expected))
                        fail_msg("%s, [%s]: no row%s", path, table->keys[i].section, expected);
        }
}

static void check(const struct key_table *table, const char *path) {
        const struct key_group *group = table->group;
        _cleanup_free_ char *text = file_text(path);

        check_keys(table, NULL, text, path);
        if (group)
                check_keys(group->table, group->argument, text, path);
        assert_int_equal(count(text, "\n| `"), table->n_keys + (group ? group->table->n_keys : 0));
        for (size_t i = 0; i < table->n_sections; i++)
                free(section_text(text, table->sections[i].name, NULL));
}

static void test_module_ini(void **state) {
        check(&manifest_table, module_ini);
}

static void test_socled_conf(void **state) {
        check(&base_config_table, socled_conf);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_module_ini),
                cmocka_unit_test(test_socled_conf),
        };

        if (argc != 3) {
                fprintf(stderr, "usage: test-key-docs module.ini.md socled.conf.md\n");
                return 2;
        }
        module_ini = argv[1];
        socled_conf = argv[2];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
