/* SPDX-License-Identifier: Apache-2.0
 *
 * Well-formed UTF-8 (RFC 3629), for text that is shown to people: in messages, in
 * logs, on terminals.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The size of the sequence that begins here, or 0: too long a form, a surrogate, beyond U+10FFFF, cut off. size > 0. */
static inline size_t utf8_span(const char *text, size_t size) {
        const unsigned char *p = (const unsigned char *)text;
        size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

        if (n > size)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        }
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return n;
}

/* Of a well-formed sequence: C0, DEL, and C1, of which U+009B begins what ESC [ does. */
static inline bool utf8_is_control(const char *text) {
        const unsigned char *p = (const unsigned char *)text;

        return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}
