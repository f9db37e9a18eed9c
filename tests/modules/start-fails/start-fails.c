/* SPDX-License-Identifier: Apache-2.0
 *
 * Its start returns an error.
 */
#include <errno.h>

#include <socle/module.h>

static int start(struct socle_module *self) {
        return -EIO;
}

SOCLE_MODULE(.start = start);
