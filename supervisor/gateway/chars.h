/* SPDX-License-Identifier: Apache-2.0
 *
 * Character classes of RFC 9110 5.6.2 and RFC 3986, as one table of bits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum char_class {
        CHAR_TOKEN = 1 << 0,  /* RFC 9110 5.6.2 tchar */
        CHAR_VALUE = 1 << 1,  /* RFC 9110 5.5 field-content: visible, space, tab, obs-text */
        CHAR_TARGET = 1 << 2, /* visible ASCII but '#' */
        CHAR_HOST = 1 << 3,   /* RFC 3986 3.2.2 reg-name */
        CHAR_HEX = 1 << 4,
        CHAR_DIGIT = 1 << 5,
        CHAR_UPPER = 1 << 6,
        CHAR_BLANK = 1 << 7, /* SP and HTAB: RFC 9110 5.6.3 */
};

extern const uint8_t char_classes[256];

static inline bool char_is(uint8_t c, enum char_class class) {
        return char_classes[c] & class;
}

static inline uint8_t char_lower(uint8_t c) {
        return char_is(c, CHAR_UPPER) ? c | 0x20 : c;
}

/* Of a character that is CHAR_HEX. */
static inline unsigned char_hex(uint8_t c) {
        return char_is(c, CHAR_DIGIT) ? c - 0x30u : (c | 0x20u) - 0x61u + 10;
}
