/* SPDX-License-Identifier: Apache-2.0
 *
 * soclectl: the admin's and the developer's command.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/command.h"
#include "supervisor/ctl/text.h"

/* A full disk is a failure of ours; a reader that has seen enough (head) needs no word about it. */
static int flush(int status) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (errno != EPIPE)
                fprintf(stderr, "soclectl: standard output: %s\n", strerror(errno));
        return status ? status : VERDICT_FAILED;
}

int main(int argc, char **argv) {
        struct command command;
        int r;

        signal(SIGPIPE, SIG_IGN);
        text_begin();
        r = command_parse(&command, argc, argv, getenv("SOCLE_ROOT"), stdout, stderr);
        if (r == COMMAND_E_DONE)
                return flush(VERDICT_SUCCESS);
        if (r)
                return VERDICT_USAGE;
        return flush(command.verb->run(&command, stdout, stderr));
}
