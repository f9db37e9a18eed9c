/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest module: what test-entry-check.c looks at, and breaks.
 */
#include <socle/module.h>

static int start(struct socle_module *self) {
        return 0;
}

SOCLE_MODULE(.start = start);
