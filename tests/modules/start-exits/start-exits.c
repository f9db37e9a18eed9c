/* SPDX-License-Identifier: Apache-2.0
 *
 * Its start ends the process.
 */
#include <stdlib.h>

#include <socle/module.h>

static int start(struct socle_module *self) {
        exit(3);
}

SOCLE_MODULE(.start = start);
