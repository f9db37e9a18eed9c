/* SPDX-License-Identifier: Apache-2.0
 *
 * socle-template: exec'ed by the base as root (or as you, rootless) with its
 * link on descriptor 3. It does not begin like the other roles (role_begin):
 * where they take another uid, it takes a user namespace of its own.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/common/role.h"
#include "supervisor/template/template.h"

int main(void) {
        struct template template;
        int r;

        log_begin("socle-template");
        r = fd_close_all_except((const int[]){ ROLE_LINK_FD }, 1);
        if (r) {
                log_error("cannot close what was inherited: %s", strerrordesc_np(-r));
                return EXIT_FAILURE;
        }
        /* Workers inherit this: a write to a closed pipe is an error, no end. */
        signal(SIGPIPE, SIG_IGN);
        /* Away from a terminal: its Ctrl-C is for the base, which lets the modules drain. */
        setsid();
        prctl(PR_SET_NAME, "socle-template");

        template_init(&template, ROLE_LINK_FD);
        r = template_setup(&template);
        if (!r)
                r = template_serve(&template);
        template_deinit(&template);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
