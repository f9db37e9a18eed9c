/* SPDX-License-Identifier: Apache-2.0
 *
 * The table behind chars.h.
 */
#include "supervisor/gateway/chars.h"

#define VISIBLE (CHAR_VALUE | CHAR_TARGET)

const uint8_t char_classes[256] = {
        ['\t'] = CHAR_VALUE | CHAR_BLANK,
        [' '] = CHAR_VALUE | CHAR_BLANK,
        ['0' ... '9'] = VISIBLE | CHAR_TOKEN | CHAR_HOST | CHAR_HEX | CHAR_DIGIT,
        ['A' ... 'F'] = VISIBLE | CHAR_TOKEN | CHAR_HOST | CHAR_HEX | CHAR_UPPER,
        ['G' ... 'Z'] = VISIBLE | CHAR_TOKEN | CHAR_HOST | CHAR_UPPER,
        ['a' ... 'f'] = VISIBLE | CHAR_TOKEN | CHAR_HOST | CHAR_HEX,
        ['g' ... 'z'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['!'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['"'] = VISIBLE,
        ['#'] = CHAR_VALUE | CHAR_TOKEN,
        ['$'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['%'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['&'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['\''] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['('] = VISIBLE | CHAR_HOST,
        [')'] = VISIBLE | CHAR_HOST,
        ['*'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['+'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        [','] = VISIBLE | CHAR_HOST,
        ['-'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['.'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['/'] = VISIBLE,
        [':'] = VISIBLE,
        [';'] = VISIBLE | CHAR_HOST,
        ['<'] = VISIBLE,
        ['='] = VISIBLE | CHAR_HOST,
        ['>'] = VISIBLE,
        ['?'] = VISIBLE,
        ['@'] = VISIBLE,
        ['['] = VISIBLE,
        ['\\'] = VISIBLE,
        [']'] = VISIBLE,
        ['^'] = VISIBLE | CHAR_TOKEN,
        ['_'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        ['`'] = VISIBLE | CHAR_TOKEN,
        ['{'] = VISIBLE,
        ['|'] = VISIBLE | CHAR_TOKEN,
        ['}'] = VISIBLE,
        ['~'] = VISIBLE | CHAR_TOKEN | CHAR_HOST,
        [0x80 ... 0xff] = CHAR_VALUE,
};
