/* SPDX-License-Identifier: Apache-2.0
 *
 * A module for the installer's spare child to unpack and check, so that it has
 * walked the whole way once. Never loaded.
 */
#include <socle/module.h>

/* Some bytes to decode: as many as a small module has. */
SOCLE_PUBLIC const unsigned char warmup_bytes[16384] = { 1, 2, 3, [8191] = 5, 7, 11, [16383] = 13 };

static int start(struct socle_module *self) {
        return self ? 0 : SOCLE_E_INTERNAL;
}

SOCLE_MODULE(.start = start);
