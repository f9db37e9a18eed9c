/* SPDX-License-Identifier: Apache-2.0
 *
 * Options may stand anywhere, as people type them; "--" ends them.
 */
#include "supervisor/ctl/command.h"

#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/verbs.h"

static const struct verb verbs[] = {
#define X(name, arguments, min, max, help) { #name, arguments, help, min, max, verb_##name },
#include "supervisor/ctl/verbs.def"
#undef X
};

static const struct {
        const char *spelling, *argument, *verb, *help;
} options[N_OPTIONS] = {
#define X(id, spelling, argument, verb, help) [OPTION_##id] = { spelling, argument, verb, help },
#include "supervisor/ctl/options.def"
#undef X
};

static bool option_is_of(size_t option, const struct verb *verb) {
        const char *verbs_of = options[option].verb, *at;
        size_t n = verb ? strlen(verb->name) : 0;

        if (!verbs_of || !verb)
                return !verbs_of;
        at = strstr(verbs_of, verb->name);
        return at && (at == verbs_of || at[-1] == ' ') && (!at[n] || at[n] == ' ');
}

/* Help ---------------------------------------------------------------------------------------------------------------- */

static bool asks_a_base(const struct verb *verb) {
        return !verb || (verb->run != verb_pack && verb->run != verb_sign && verb->run != verb_keygen && verb->run != verb_version);
}

static void help_options(const struct verb *verb, FILE *out) {
        char left[64];

        fputs("\nOptions:\n", out);
        for (size_t i = 0; i < N_OPTIONS; i++) {
                if (!option_is_of(i, verb) || (i == OPTION_root && !asks_a_base(verb)))
                        continue;
                snprintf(left, sizeof(left), "%s %s", options[i].spelling, options[i].argument ? options[i].argument : "");
                fprintf(out, "  %-22s %s\n", left, options[i].help);
        }
}

static void help_verb(const struct verb *verb, FILE *out) {
        fprintf(out, "Usage: soclectl %s [OPTION...]%s%s\n\n%s.\n", verb->name, *verb->arguments ? " " : "", verb->arguments, verb->help);
        help_options(verb, out);
}

static void help_all(FILE *out) {
        char left[64];

        fputs("Usage: soclectl [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n", out);
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                snprintf(left, sizeof(left), "%s %s", verbs[i].name, verbs[i].arguments);
                fprintf(out, "  %-26s %s\n", left, verbs[i].help);
        }
        help_options(NULL, out);
        fputs("\nExit status: 0 success, 2 usage, 3 refused or failed, 4 not found, 5 conflict, 6 base not reachable.\n", out);
}

int command_usage(const struct verb *verb, FILE *err, const char *what, const char *word) {
        text_line(err, "soclectl: ", what, word ? ": " : "", word ? word : "");
        fprintf(err, "Try 'soclectl %s%s--help'.\n", verb ? verb->name : "", verb ? " " : "");
        return VERDICT_USAGE;
}

/* Parsing ------------------------------------------------------------------------------------------------------------- */

static const struct verb *verb_find(const char *name) {
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                if (!strcmp(verbs[i].name, name))
                        return &verbs[i];
        }
        return NULL;
}

/* Whether the word is this option; *ret_value is what is glued to it ("--root=DIR", "-n5") or NULL. */
static bool option_matches(size_t option, const char *word, const char **ret_value) {
        const char *spelling = options[option].spelling;
        size_t n = strlen(spelling);
        bool is_long = spelling[1] == '-';

        if (strncmp(word, spelling, n) != 0 || (is_long && word[n] && word[n] != '='))
                return false;
        if (!options[option].argument && word[n])
                return false;
        *ret_value = word[n] ? word + n + is_long : NULL;
        return true;
}

static int option_parse(struct command *c, const char *word, char ***rest, FILE *err) {
        const char *value;

        for (size_t i = 0; i < N_OPTIONS; i++) {
                if (!option_matches(i, word, &value))
                        continue;
                if (options[i].argument && !value)
                        value = **rest ? *(*rest)++ : "";
                if (options[i].argument && !*value)
                        return command_usage(c->verb, err, "this option needs an argument", word), COMMAND_E_USAGE;
                c->options[i] = options[i].argument ? value : "";
                return 0;
        }
        command_usage(c->verb, err, "unknown option", word);
        return COMMAND_E_USAGE;
}

static int words_parse(struct command *c, char **words, FILE *err) {
        bool literal = false;
        char *word;
        int r;

        c->args = words;
        while ((word = *words)) {
                words++;
                if (!literal && !strcmp(word, "--")) {
                        literal = true;
                } else if (!literal && word[0] == '-' && word[1]) {
                        r = option_parse(c, !strcmp(word, "-h") ? "--help" : word, &words, err);
                        if (r)
                                return r;
                } else if (c->verb) {
                        c->args[c->n_args++] = word;
                } else if (!strcmp(word, "help")) {
                        c->options[OPTION_help] = "";
                } else {
                        c->verb = verb_find(word);
                        if (!c->verb)
                                return command_usage(NULL, err, "unknown command", word), COMMAND_E_USAGE;
                }
        }
        return 0;
}

static int command_check(const struct command *c, FILE *err) {
        const struct verb *verb = c->verb;

        for (size_t i = 0; i < N_OPTIONS; i++) {
                if (c->options[i] && !option_is_of(i, verb))
                        return command_usage(verb, err, "not an option of this command", options[i].spelling), COMMAND_E_USAGE;
        }
        if (c->n_args < (size_t)verb->min)
                return command_usage(verb, err, "an argument is missing", verb->arguments), COMMAND_E_USAGE;
        if (verb->max >= 0 && c->n_args > (size_t)verb->max)
                return command_usage(verb, err, "one argument too many", c->args[verb->max]), COMMAND_E_USAGE;
        return 0;
}

int command_parse(struct command *ret_command, int argc, char **argv, const char *env_root, FILE *out, FILE *err) {
        struct command c = { 0 };
        int r;

        if (argc > 1 && !strcmp(argv[1], "--version")) {
                fputs("soclectl " SOCLE_VERSION "\n", out);
                return COMMAND_E_DONE;
        }
        r = words_parse(&c, argc > 0 ? argv + 1 : argv, err);
        if (r)
                return r;
        if (c.options[OPTION_help]) {
                c.verb ? help_verb(c.verb, out) : help_all(out);
                return COMMAND_E_DONE;
        }
        if (!c.verb) {
                help_all(err);
                return COMMAND_E_USAGE;
        }
        r = command_check(&c, err);
        if (r)
                return r;
        if (!c.options[OPTION_root] && env_root && *env_root)
                c.options[OPTION_root] = env_root;
        *ret_command = c;
        return 0;
}
