/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as they stand in answers and in the access log: without printf().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DIGITS_MAX 20

/* Where its decimal digits begin, which end at the buffer's end. */
static inline const char *digits_of(uint64_t n, char buffer[DIGITS_MAX]) {
        size_t at = DIGITS_MAX;

        do {
                buffer[--at] = (char)('0' + n % 10);
                n /= 10;
        } while (n);
        return buffer + at;
}
