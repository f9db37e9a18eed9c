/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of faults, and docs/errors.md, which has a row for each and for no
 * other. argv: that file, or --print: the tables as they
 * ought to stand there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "supervisor/common/fault.h"

static const char *errors_md;

/* The table ---------------------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *list) {
        while (*list && strcmp(*list, text) != 0)
                list++;
        return *list;
}

static void test_every_row_is_whole(void **state) {
        static const char *const classes[] = { "REQUEST", "PACKAGE", "MODULE", "HOST", "BASE", NULL };
        static const char *const who[] = { "CALLER", "OPERATOR", "MODULE", "HOST", "BASE", NULL };

        for (int f = FAULT_NONE + 1; f < N_FAULTS; f++) {
                const struct fault_info *info = fault_info((enum fault)f);

                assert_true(is_one_of(info->class, classes));
                assert_true(is_one_of(info->whose, who));
                assert_true(info->http_status == 0 || (info->http_status >= 400 && info->http_status < 600));
                assert_true(strlen(info->meaning) > 8 && info->meaning[strlen(info->meaning) - 1] != '.');
                assert_true(strlen(info->hint) > 4 && info->hint[strlen(info->hint) - 1] != '.');
                assert_int_equal(fault_find(info->code), f); /* and so no code is there twice */
        }
}

/* So curl and soclectl tell the same. */
static void test_exit_status_and_http_status_agree(void **state) {
        for (int f = FAULT_NONE + 1; f < N_FAULTS; f++) {
                const struct fault_info *info = fault_info((enum fault)f);

                assert_int_equal(info->http_status == 404, info->verdict == VERDICT_NOT_FOUND);
                assert_int_equal(info->http_status == 409, info->verdict == VERDICT_CONFLICT);
                if (info->verdict == VERDICT_USAGE || info->verdict == VERDICT_UNREACHABLE)
                        assert_int_equal(info->http_status, 0);
                assert_int_not_equal(info->verdict, VERDICT_SUCCESS);
        }
}

static void test_nothing_and_nonsense(void **state) {
        assert_string_equal(fault_code(FAULT_NONE), "");
        assert_string_equal(fault_info(FAULT_NONE)->class, "");
        assert_string_equal(fault_code((enum fault)N_FAULTS), "");
        assert_int_equal(fault_find(""), FAULT_NONE);
        assert_int_equal(fault_find("NEVER_HEARD_OF"), FAULT_NONE);
}

static void test_what_the_bus_says_is_the_same_here(void **state) {
        for (int error = 1; error_known(error); error++) {
                const struct fault_info *info = fault_info(fault_of_bus(error));

                assert_string_equal(info->code, error_info(error)->name);
                assert_string_equal(info->whose, error_info(error)->fault);
                assert_int_equal(info->http_status, error_info(error)->http_status);
        }
        assert_int_equal(fault_of_bus(0), FAULT_INTERNAL);
        assert_int_equal(fault_of_bus(30000), FAULT_INTERNAL);
}

static void test_errors_of_the_disk(void **state) {
        assert_int_equal(fault_of_write(-ENOSPC), FAULT_NO_SPACE);
        assert_int_equal(fault_of_write(EDQUOT), FAULT_NO_SPACE);
        assert_int_equal(fault_of_write(-ENOMEM), FAULT_NO_MEMORY);
        assert_int_equal(fault_of_write(-EROFS), FAULT_NOT_WRITTEN);
}

static void test_hints_name_the_module(void **state) {
        char text[512], small[12];

        fault_hint(FAULT_START_FAILED, "hello", text, sizeof(text));
        assert_string_equal(text, "see `soclectl logs hello`");
        fault_hint(FAULT_START_FAILED, "", text, sizeof(text));
        assert_string_equal(text, "see `soclectl logs NAME`");
        fault_hint(FAULT_START_FAILED, NULL, text, sizeof(text));
        assert_string_equal(text, "see `soclectl logs NAME`");
        fault_hint(FAULT_UNHEALTHY, "kv", text, sizeof(text));
        assert_string_equal(text, "`soclectl health kv` asks it again, `soclectl logs kv` may say why");
        fault_hint(FAULT_WORLD_WRITABLE, "kv", text, sizeof(text));
        assert_string_equal(text, "chmod o-w FILE");
        fault_hint(FAULT_UNHEALTHY, "kv", small, sizeof(small));
        assert_string_equal(small, "`soclectl h");
        fault_hint(FAULT_NONE, "kv", text, sizeof(text));
        assert_string_equal(text, "");
}

/* The page ----------------------------------------------------------------------------------------------------------- */

static void row(const struct fault_info *info, char *text, size_t size) {
        char http[16] = "", hint[512], whose[16];

        for (size_t i = 0; i <= strlen(info->whose); i++)
                whose[i] = (char)tolower((unsigned char)info->whose[i]);
        if (info->http_status)
                snprintf(http, sizeof(http), "%d", info->http_status);
        fault_hint((enum fault)fault_find(info->code), "NAME", hint, sizeof(hint));
        snprintf(text, size, "| `%s` | %s | %s | %d | %s | %s |\n", info->code, whose, http, info->verdict, info->meaning, hint);
}

static void print(void) {
        const char *class = "";

        for (int f = FAULT_NONE + 1; f < N_FAULTS; f++) {
                const struct fault_info *info = fault_info((enum fault)f);
                char text[1024];

                if (strcmp(class, info->class) != 0)
                        printf("\n## %s\n\n| code | whose fault | HTTP | exit | what it is | what to do |\n|---|---|---|---|---|---|\n",
                               info->class);
                class = info->class;
                row(info, text, sizeof(text));
                fputs(text, stdout);
        }
}

/* The part under "## CLASS". */
static char *class_text(const char *text, const char *class) {
        char heading[32];
        const char *begin, *end;

        snprintf(heading, sizeof(heading), "\n## %s\n", class);
        begin = strstr(text, heading);
        if (!begin) {
                fail_msg("no heading \"## %s\"", class);
                return NULL;
        }
        end = strstr(begin + 1, "\n## ");
        return strndup(begin, end ? (size_t)(end - begin) + 1 : strlen(begin));
}

static void test_the_page_has_them_all(void **state) {
        _cleanup_free_ char *text = calloc(1, 1 << 20);
        FILE *f = fopen(errors_md, "re");
        int n = 0;

        assert_non_null(f);
        assert_non_null(text);
        assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
        fclose(f);
        for (int i = FAULT_NONE + 1; i < N_FAULTS; i++) {
                const struct fault_info *info = fault_info((enum fault)i);
                _cleanup_free_ char *part = class_text(text, info->class);
                char expected[1024] = "\n";

                row(info, expected + 1, sizeof(expected) - 1);
                if (!strstr(part, expected))
                        fail_msg("%s, %s (test-fault --print prints the tables): no row%s", errors_md, info->class, expected);
        }
        for (const char *at = text; (at = strstr(at, "\n| `")); at++)
                n++;
        assert_int_equal(n, N_FAULTS - 1);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_row_is_whole),    cmocka_unit_test(test_exit_status_and_http_status_agree),
                cmocka_unit_test(test_nothing_and_nonsense),  cmocka_unit_test(test_what_the_bus_says_is_the_same_here),
                cmocka_unit_test(test_errors_of_the_disk),    cmocka_unit_test(test_hints_name_the_module),
                cmocka_unit_test(test_the_page_has_them_all),
        };

        if (argc == 2 && !strcmp(argv[1], "--print")) {
                print();
                return 0;
        }
        if (argc != 2) {
                fprintf(stderr, "usage: test-fault docs/errors.md | --print\n");
                return 2;
        }
        errors_md = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
