/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: verbs and options are the tables verbs.def and options.def;
 * parser, help and dispatch are made of them.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct command;

/* What a verb does; returns the exit status. */
typedef int (*verb_function)(const struct command *command, FILE *out, FILE *err);

struct verb {
        const char *name, *arguments, *help;
        int min, max;
        verb_function run;
};

enum option_id {
#define X(id, spelling, argument, verb, help) OPTION_##id,
#include "supervisor/ctl/options.def"
#undef X
        N_OPTIONS
};

struct command {
        const struct verb *verb;
        const char *options[N_OPTIONS]; /* NULL: not given; "" when it takes no argument */
        char **args;                    /* what is neither option nor verb */
        size_t n_args;
};

enum {
        _COMMAND_E_SUCCESS,
        COMMAND_E_DONE,  /* --help or --version: printed on out */
        COMMAND_E_USAGE, /* told on err */
};

/* argv's pointers are reordered. `env_root` is SOCLE_ROOT or NULL; the option wins. */
int command_parse(struct command *ret_command, int argc, char **argv, const char *env_root, FILE *out, FILE *err);

/* One line on err that points to the help of the verb. Returns the exit status of a usage error. */
int command_usage(const struct verb *verb, FILE *err, const char *what, const char *word);
