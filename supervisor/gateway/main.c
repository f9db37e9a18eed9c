/* SPDX-License-Identifier: Apache-2.0
 *
 * socle-gateway: the HTTP front door.
 */
#include <stdlib.h>

#include "ipc/cleanup.h"
#include "supervisor/common/role.h"
#include "supervisor/gateway/gateway.h"

int main(void) {
        struct role_handover handovers[CONTROL_LISTENERS_MAX + 4];
        struct control_hello hello;
        uint32_t n = 0;

        if (role_begin("socle-gateway") < 0 || role_receive_setup(CONTROL_GATEWAY, &hello, handovers, N_ELEMENTS(handovers), &n) < 0)
                return EXIT_FAILURE;
        return gateway_run(&hello, handovers, n) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
