/* SPDX-License-Identifier: Apache-2.0
 *
 * socled, the base: the only process that ever has root. It parses no file and
 * no message of variable form; it links the C library and nothing else.
 */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/base.h"
#include "supervisor/common/log.h"

/* A program of its own: what is tried there is nothing that this one needs to know. */
static int check_host(bool json) {
        char program[PATH_MAX];
        int r = role_program("check-host", program, sizeof(program));

        if (!r)
                r = execl(program, program, json ? "--json" : (char *)NULL, (char *)NULL) < 0 ? -errno : 0;
        log_error("cannot check the host: %s", strerrordesc_np(-r));
        return EXIT_FAILURE;
}

int main(int argc, char **argv) {
        struct options options;
        int r;

        log_begin("socled");
        r = options_parse(&options, argc, argv, getenv("SOCLE_ROOT"));
        if (r)
                return r == OPTIONS_E_DONE ? EXIT_SUCCESS : 2;
        signal(SIGPIPE, SIG_IGN);
        setlocale(LC_NUMERIC, "C");
        if (options.check_host)
                return check_host(options.json);
        return base_run(&options);
}
