/* SPDX-License-Identifier: Apache-2.0
 *
 * Is it UTF-8? What one module calls text, the next one should be able to read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool utf8_ok(const void *data, size_t size) {
        const unsigned char *p = data, *end = p + size;

        while (p < end) {
                size_t n = *p < 0x80 ? 0 : *p < 0xc2 ? SIZE_MAX : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : *p < 0xf5 ? 3 : SIZE_MAX;
                unsigned char first = *p++;

                if (n > (size_t)(end - p))
                        return false;
                /* Longer than needed, half of a surrogate pair, above U+10FFFF. */
                if ((first == 0xe0 && *p < 0xa0) || (first == 0xed && *p > 0x9f) || (first == 0xf0 && *p < 0x90) ||
                    (first == 0xf4 && *p > 0x8f))
                        return false;
                for (; n; n--, p++) {
                        if ((*p & 0xc0) != 0x80)
                                return false;
                }
        }
        return true;
}
