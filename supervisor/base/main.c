/* SPDX-License-Identifier: Apache-2.0
 *
 * socled, the base: the only process that ever has root. It parses no file and
 * no message of variable form; it links the C library and nothing else.
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#include "supervisor/base/base.h"
#include "supervisor/common/log.h"

int main(int argc, char **argv) {
        struct options options;
        int r;

        log_begin("socled");
        r = options_parse(&options, argc, argv, getenv("SOCLE_ROOT"));
        if (r)
                return r == OPTIONS_E_DONE ? EXIT_SUCCESS : 2;
        signal(SIGPIPE, SIG_IGN);
        setlocale(LC_NUMERIC, "C");
        return base_run(&options);
}
