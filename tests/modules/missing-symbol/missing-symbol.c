/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls a function that nobody has.
 */
#include <socle/module.h>

int socle_test_that_nobody_has(void);

static int start(struct socle_module *self) {
        return socle_test_that_nobody_has();
}

SOCLE_MODULE(.start = start);
