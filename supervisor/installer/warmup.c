/* SPDX-License-Identifier: Apache-2.0
 *
 * The package is made by the build (meson.build here).
 */
#include "supervisor/installer/warmup.h"

#include <stdint.h>

#include "ipc/memfd.h"

static const uint8_t package[] = {
#include "supervisor/installer/warmup-package.h"
};

int warmup_package(void) {
        return memfd_new_const("socle-warm-up", package, sizeof(package));
}
