/* SPDX-License-Identifier: Apache-2.0
 *
 * Options by hand: there are three, and getopt would keep state.
 */
#include "supervisor/base/options.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "Usage: socled [--root DIR]\n"
                           "\n"
                           "Runs the base in the foreground: a directory of packages becomes running modules.\n"
                           "\n"
                           "  --root DIR   a private base below DIR: etc/, modules/, run/, state/, log/\n"
                           "               (also SOCLE_ROOT; without it the folders of the machine)\n"
                           "  --version    print the version\n"
                           "  -h, --help   print this\n"
                           "\n"
                           "TERM and INT drain and stop, a second one at once; HUP reloads; USR1 reopens logs.\n";

static int usage(const char *what, const char *word) {
        fprintf(stderr, "socled: %s: %s\nTry 'socled --help'.\n", what, word);
        return OPTIONS_E_USAGE;
}

int options_parse(struct options *ret_options, int argc, char **argv, const char *env_root) {
        struct options options = { .root = env_root && *env_root ? env_root : NULL };

        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
                        fputs(help, stdout);
                        return OPTIONS_E_DONE;
                }
                if (!strcmp(argv[i], "--version")) {
                        puts("socled " SOCLE_VERSION);
                        return OPTIONS_E_DONE;
                }
                if (!strncmp(argv[i], "--root=", 7) && argv[i][7])
                        options.root = argv[i] + 7;
                else if (!strcmp(argv[i], "--root") && i + 1 < argc && argv[i + 1][0])
                        options.root = argv[++i];
                else if (!strncmp(argv[i], "--root", 6) && (!argv[i][6] || argv[i][6] == '='))
                        return usage("needs a folder", argv[i]);
                else
                        return usage("unknown argument", argv[i]);
        }
        *ret_options = options;
        return 0;
}
