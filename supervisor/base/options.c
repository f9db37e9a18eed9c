/* SPDX-License-Identifier: Apache-2.0
 *
 * Options by hand: there are few, and getopt would keep state.
 */
#include "supervisor/base/options.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "Usage: socled [--root DIR]\n"
                           "       socled --check-host [--json]\n"
                           "\n"
                           "Runs the base in the foreground: a directory of packages becomes running modules.\n"
                           "\n"
                           "  --root DIR   a private base below DIR: etc/, modules/, run/, state/, log/\n"
                           "               (also SOCLE_ROOT; without it the folders of the machine)\n"
                           "  --check-host what this host has of what Socle needs, what for, and what can be done;\n"
                           "               run it as socled is run; status 1 when a layer of the sandbox is missing\n"
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
                if (!strcmp(argv[i], "--check-host"))
                        options.check_host = true;
                else if (!strcmp(argv[i], "--json"))
                        options.json = true;
                else if (!strncmp(argv[i], "--root=", 7) && argv[i][7])
                        options.root = argv[i] + 7;
                else if (!strcmp(argv[i], "--root") && i + 1 < argc && argv[i + 1][0])
                        options.root = argv[++i];
                else if (!strncmp(argv[i], "--root", 6) && (!argv[i][6] || argv[i][6] == '='))
                        return usage("needs a folder", argv[i]);
                else
                        return usage("unknown argument", argv[i]);
        }
        if (options.json && !options.check_host)
                return usage("is for --check-host", "--json");
        *ret_options = options;
        return 0;
}
