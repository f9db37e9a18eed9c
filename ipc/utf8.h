/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 without locale: one character at a time, and where a text can be cut.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The length of the character that begins at text (size > 0 bytes), and what it is; 0: not valid UTF-8. */
static inline size_t utf8_next(const char *text, size_t size, uint32_t *ret_c) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const unsigned char *t = (const unsigned char *)text;
        size_t n = t[0] < 0x80 ? 1 : t[0] >= 0xf0 && t[0] < 0xf8 ? 4 : t[0] >= 0xe0 ? 3 : t[0] >= 0xc0 ? 2 : 0;
        uint32_t c = n == 1 ? t[0] : t[0] & (0x7fu >> n);

        if (!n || n > size || t[0] >= 0xf8)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((t[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (t[i] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret_c = c;
        return n;
}

/* The most of text's size bytes, at most max, that does not end within a character. */
static inline size_t utf8_cut(const char *text, size_t size, size_t max) {
        size_t n = size < max ? size : max;

        if (n == size)
                return n;
        for (size_t back = 0; back < 4 && back < n; back++) {
                if (((unsigned char)text[n - back] & 0xc0) != 0x80)
                        return n - back;
        }
        return n;
}
