/* SPDX-License-Identifier: Apache-2.0
 *
 * Its start dereferences NULL.
 */
#include <socle/module.h>

static int start(struct socle_module *self) {
        volatile int *volatile nowhere = NULL;

        *nowhere = 1;
        return 0;
}

SOCLE_MODULE(.start = start);
