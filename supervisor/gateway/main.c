/* SPDX-License-Identifier: Apache-2.0
 *
 * socle-gateway: the HTTP front door.
 */
#include <stdlib.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/common/role.h"
#include "supervisor/gateway/gateway.h"

#define SETUP_TIMEOUT_MS 10000

int main(void) {
        struct role_handover handovers[CONTROL_LISTENERS_MAX + 4];
        struct control_hello hello;
        struct control_record setup;
        uint32_t n = 0;

        if (role_begin("socle-gateway") < 0 || role_receive_setup(CONTROL_GATEWAY, &hello, handovers, N_ELEMENTS(handovers), &n) < 0)
                return EXIT_FAILURE;
        if (control_receive_wait(ROLE_LINK_FD, CONTROL_BASE, CONTROL_GATEWAY, SETUP_TIMEOUT_MS, &setup) ||
            setup.header.kind != CONTROL_KIND_GATEWAY_SETUP) {
                log_error("the base did not say how to serve");
                return EXIT_FAILURE;
        }
        return gateway_run(&hello, &setup.GATEWAY_SETUP, handovers, n) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
