/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line, and that everything that lists commands lists all of them.
 */
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

static const struct {
        const char *line;
        int expected;
        const char *verb, *args, *root, *lines, *output;
        bool json;
} lines[] = {
        { "status", 0, "status", "" },
        { "status hello", 0, "status", "hello" },
        { "--root /r status", 0, "status", "", "/r" },
        { "status --root /r", 0, "status", "", "/r" },
        { "status --root=/r --json", 0, "status", "", "/r", .json = true },
        { "deploy a.smod --json b.smod", 0, "deploy", "a.smod b.smod", .json = true },
        { "undeploy -- -x --json", 0, "undeploy", "-x --json" },
        { "logs hello -n 5", 0, "logs", "hello", .lines = "5" },
        { "-n5 logs hello", 0, "logs", "hello", .lines = "5" },
        { "pack dir -o out.smod", 0, "pack", "dir", .output = "out.smod" },
        { "pack -oout.smod dir", 0, "pack", "dir", .output = "out.smod" },
        { "sign a.smod --key k", 0, "sign", "a.smod" },
        { "keygen --key k a", COMMAND_E_USAGE },
        { "sign", COMMAND_E_USAGE },
        { "version", 0, "version", "" },
        { "--help", COMMAND_E_DONE },
        { "-h", COMMAND_E_DONE },
        { "--version", COMMAND_E_DONE },
        { "deploy --help", COMMAND_E_DONE },
        { "help", COMMAND_E_DONE },
        { "help deploy", COMMAND_E_DONE },
        { "help frobnicate", COMMAND_E_USAGE },
        { "status help", 0, "status", "help" },
        { "", COMMAND_E_USAGE },
        { "--json", COMMAND_E_USAGE },
        { "frobnicate", COMMAND_E_USAGE },
        { "status a b", COMMAND_E_USAGE },
        { "deploy", COMMAND_E_USAGE },
        { "history", COMMAND_E_USAGE },
        { "status --frobnicate", COMMAND_E_USAGE },
        { "status --rootx", COMMAND_E_USAGE },
        { "status --root", COMMAND_E_USAGE },
        { "status --root=", COMMAND_E_USAGE },
        { "status --json=yes", COMMAND_E_USAGE },
        { "status -n 5", COMMAND_E_USAGE },
        { "logs hello -o x", COMMAND_E_USAGE },
        { "logs hello -n", COMMAND_E_USAGE },
};

/* Splits at blanks, in place. */
static int split(char *line, char **argv) {
        int argc = 1;
        char *word;

        argv[0] = (char *)"soclectl";
        while ((word = strsep(&line, " "))) {
                if (*word)
                        argv[argc++] = word;
        }
        argv[argc] = NULL;
        return argc;
}

static void assert_optional(const char *got, const char *expected) {
        if (expected)
                assert_string_equal(got, expected);
        else
                assert_null(got);
}

static void assert_line(size_t i) {
        _cleanup_free_ char *line = strdup(lines[i].line);
        char *argv[16], args[64] = "";
        struct capture out, err;
        struct command c;
        int r = command_parse(&c, split(line, argv), argv, NULL, capture_begin(&out), capture_begin(&err));

        capture_end(&out);
        capture_end(&err);
        if (r != lines[i].expected)
                fail_msg("\"%s\": %d instead of %d", lines[i].line, r, lines[i].expected);
        assert_int_equal(out.size > 0, r == COMMAND_E_DONE);
        assert_int_equal(err.size > 0, r == COMMAND_E_USAGE);
        if (r == 0) {
                for (size_t k = 0; k < c.n_args; k++)
                        snprintf(args + strlen(args), sizeof(args) - strlen(args), "%s%s", k ? " " : "", c.args[k]);
                assert_string_equal(c.verb->name, lines[i].verb);
                assert_string_equal(args, lines[i].args);
                assert_optional(c.options[OPTION_root], lines[i].root);
                assert_optional(c.options[OPTION_lines], lines[i].lines);
                assert_optional(c.options[OPTION_output], lines[i].output);
                assert_int_equal(c.options[OPTION_json] != NULL, lines[i].json);
        }
        capture_free(&out);
        capture_free(&err);
}

static void test_command_lines(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(lines); i++)
                assert_line(i);
}

static void test_the_option_wins_over_the_environment(void **state) {
        char line[] = "status", with[] = "status --root /o", *plain[8], *option[8];
        int n_plain = split(line, plain), n_option = split(with, option);
        struct command c;

        assert_int_equal(command_parse(&c, n_plain, plain, "/e", stdout, stderr), 0);
        assert_string_equal(c.options[OPTION_root], "/e");
        assert_int_equal(command_parse(&c, n_option, option, "/e", stdout, stderr), 0);
        assert_string_equal(c.options[OPTION_root], "/o");
        split(strcpy(line, "status"), plain);
        assert_int_equal(command_parse(&c, n_plain, plain, "", stdout, stderr), 0);
        assert_null(c.options[OPTION_root]);
}

static void test_a_usage_error_names_the_word_safely(void **state) {
        const char *words[] = { "bad\x1b[2J", NULL };
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, VERDICT_USAGE);
        assert_string_equal(run.err.text, "soclectl: unknown command: bad?[2J\nTry 'soclectl --help'.\n");
        run_free(&run);
}

static void test_the_number_of_lines_is_checked(void **state) {
        static const char *const bad[] = { "100001", "-1", "five", "5x", "99999999999999999999" };

        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                const char *words[] = { "logs", "hello", "-n", bad[i], NULL };
                struct run run;

                run_command(&run, words);
                assert_int_equal(run.status, VERDICT_USAGE);
                assert_contains(run.err.text, "0 to 100000");
                run_free(&run);
        }
}

/* Lists --------------------------------------------------------------------------------------------------------------- */

static char *read_file(const char *path) {
        char *text = calloc(1, 1 << 16);
        FILE *f = fopen(path, "re");

        assert_non_null(f);
        assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
        fclose(f);
        return text;
}

#define BLANKS " \t\n'\"|)(:[<>,."

/* As a word of its own: "pack" is not in "package". */
static void assert_word(const char *text, const char *word, const char *where) {
        size_t n = strlen(word);

        for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
                if ((at == text || strchr(BLANKS, at[-1])) && strchr(BLANKS, at[n])) /* strchr finds the end, too */
                        return;
        }
        fail_msg("%s does not mention %s", where, word);
}

static void assert_verbs(const char *text, const char *where, const char *before) {
#define X(name, arguments, min, max, help)                                                                                                 \
        {                                                                                                                                  \
                char word[64];                                                                                                             \
                                                                                                                                           \
                snprintf(word, sizeof(word), "%s" #name, before);                                                                          \
                assert_word(text, word, where);                                                                                            \
        }
#include "supervisor/ctl/verbs.def"
#undef X
}

static void test_the_help_lists_every_verb(void **state) {
        const char *words[] = { "--help", NULL };
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, 0);
        assert_verbs(run.out.text, "--help", "  ");
#define X(id, spelling, argument, verb, help)                                                                                              \
        if (!(verb))                                                                                                                       \
                assert_contains(run.out.text, help);
#include "supervisor/ctl/options.def"
#undef X
        run_free(&run);
}

static void test_each_verb_has_help_with_its_options(void **state) {
#define X(name, arguments, min, max, says)                                                                                                 \
        {                                                                                                                                  \
                const char *words[] = { #name, "--help", NULL };                                                                           \
                struct run run;                                                                                                            \
                                                                                                                                           \
                run_command(&run, words);                                                                                                  \
                assert_int_equal(run.status, 0);                                                                                           \
                assert_contains(run.out.text, "Usage: soclectl " #name);                                                                   \
                assert_contains(run.out.text, says);                                                                                       \
                assert_contains(run.out.text, "--json");                                                                                   \
                run_free(&run);                                                                                                            \
        }
#include "supervisor/ctl/verbs.def"
#undef X
}

static void test_the_man_page_documents_every_verb_and_option(void **state) {
        _cleanup_free_ char *man = read_file(SOURCE_ROOT "/docs/soclectl.1");

        assert_verbs(man, "docs/soclectl.1", ".It Cm ");
#define X(id, spelling, argument, verb, help)                                                                                              \
        assert_contains(man, spelling[1] == '-' ? "Fl Fl " #id : ((char[]){ 'F', 'l', ' ', spelling[1], ' ', '\0' }));
#include "supervisor/ctl/options.def"
#undef X
}

static void test_the_completions_know_every_verb_and_option(void **state) {
        static const char *const files[] = { SOURCE_ROOT "/supervisor/ctl/completion/soclectl.bash",
                                             SOURCE_ROOT "/supervisor/ctl/completion/_soclectl" };

        for (size_t i = 0; i < N_ELEMENTS(files); i++) {
                _cleanup_free_ char *text = read_file(files[i]);

                assert_verbs(text, files[i], "");
#define X(id, spelling, argument, verb, help) assert_word(text, spelling, files[i]);
#include "supervisor/ctl/options.def"
#undef X
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_command_lines),
                cmocka_unit_test(test_the_option_wins_over_the_environment),
                cmocka_unit_test(test_a_usage_error_names_the_word_safely),
                cmocka_unit_test(test_the_number_of_lines_is_checked),
                cmocka_unit_test(test_the_help_lists_every_verb),
                cmocka_unit_test(test_each_verb_has_help_with_its_options),
                cmocka_unit_test(test_the_man_page_documents_every_verb_and_option),
                cmocka_unit_test(test_the_completions_know_every_verb_and_option),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
