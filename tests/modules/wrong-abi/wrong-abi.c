/* SPDX-License-Identifier: Apache-2.0
 *
 * Was built for another major version of the SDK.
 */
#include <socle/module.h>

#undef SOCLE_SDK_MAJOR
#define SOCLE_SDK_MAJOR 99

static int start(struct socle_module *self) {
        return 0;
}

SOCLE_MODULE(.start = start);
