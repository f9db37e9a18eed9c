/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of socled: which root, or what the host has; everything that
 * can be configured stands in socled.conf.
 */
#pragma once

#include <stdbool.h>

struct options {
        const char *root; /* NULL: the machine's own folders */
        bool check_host, json;
};

enum {
        _OPTIONS_E_SUCCESS,
        OPTIONS_E_DONE,  /* --help or --version: printed */
        OPTIONS_E_USAGE, /* told on stderr */
};

/* `env_root` is SOCLE_ROOT or NULL; the option wins. */
int options_parse(struct options *ret_options, int argc, char **argv, const char *env_root);
