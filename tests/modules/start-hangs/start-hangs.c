/* SPDX-License-Identifier: Apache-2.0
 *
 * Its start never returns.
 */
#include <unistd.h>

#include <socle/module.h>

static _Noreturn int start(struct socle_module *self) {
        for (;;)
                pause();
}

SOCLE_MODULE(.start = start);
