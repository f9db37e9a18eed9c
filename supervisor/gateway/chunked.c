/* SPDX-License-Identifier: Apache-2.0
 *
 * A state machine over bytes; the data itself is passed on in whole pieces. It
 * is written here and not left to llhttp because llhttp 8.1 takes a bare CR as
 * an end of line (CVE-2023-30589) and reads extensions without end
 * (CVE-2024-22019): where bodies end is what smuggling lives on.
 */
#include "supervisor/gateway/chunked.h"

#include <stdbool.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/chars.h"

#define DIGITS_MAX 15u
#define EXTENSIONS_MAX 4096u /* over all chunks of a body */
#define TRAILER_MAX 8192u

enum state {
        STATE_SIZE,
        STATE_BLANK,     /* behind the size: only an extension may follow */
        STATE_EXTENSION, /* behind ';' */
        STATE_QUOTED,
        STATE_QUOTED_PAIR,
        STATE_SIZE_LF,
        STATE_DATA,
        STATE_DATA_CR,
        STATE_DATA_LF,
        STATE_TRAILER, /* the begin of a trailer line, or of the last line */
        STATE_NAME,
        STATE_VALUE,
        STATE_VALUE_LF,
        STATE_LAST_LF,
        STATE_END,
};

void chunked_init(struct chunked *c) {
        *c = (struct chunked){ .state = STATE_SIZE };
}

static int on_size(struct chunked *c, uint8_t b) {
        if (char_is(b, CHAR_HEX)) {
                if (c->n_digits++ == DIGITS_MAX)
                        return REFUSAL_CHUNK_TOO_LARGE;
                c->left = c->left << 4 | char_hex(b);
                return 0;
        }
        if (!c->n_digits)
                return REFUSAL_CHUNK_SIZE;
        if (b == '\r')
                c->state = STATE_SIZE_LF;
        else if (b == ';')
                c->state = STATE_EXTENSION;
        else if (char_is(b, CHAR_BLANK))
                c->state = STATE_BLANK;
        else
                return REFUSAL_CHUNK_SIZE;
        return 0;
}

static int on_extension(struct chunked *c, uint8_t b) {
        if (++c->n_extension > EXTENSIONS_MAX)
                return REFUSAL_CHUNK_EXTENSION;
        if (c->state == STATE_BLANK) {
                if (b == ';')
                        c->state = STATE_EXTENSION;
                return b == ';' || char_is(b, CHAR_BLANK) ? 0 : REFUSAL_CHUNK_SIZE;
        }
        if (c->state == STATE_EXTENSION && b == '\r') {
                c->state = STATE_SIZE_LF;
                return 0;
        }
        if (!char_is(b, CHAR_VALUE))
                return REFUSAL_CHUNK_EXTENSION;
        if (c->state == STATE_QUOTED_PAIR)
                c->state = STATE_QUOTED;
        else if (c->state == STATE_QUOTED && b == '\\')
                c->state = STATE_QUOTED_PAIR;
        else if (b == '"')
                c->state = c->state == STATE_QUOTED ? STATE_EXTENSION : STATE_QUOTED;
        return 0;
}

static int on_trailer(struct chunked *c, uint8_t b) {
        if (++c->n_trailer > TRAILER_MAX)
                return REFUSAL_TRAILER_TOO_LARGE;
        if (c->state == STATE_TRAILER && b == '\r') {
                c->state = STATE_LAST_LF;
        } else if (c->state == STATE_VALUE) {
                if (b == '\r')
                        c->state = STATE_VALUE_LF;
                else if (!char_is(b, CHAR_VALUE))
                        return REFUSAL_TRAILER;
        } else if (c->state == STATE_NAME && b == ':') {
                c->state = STATE_VALUE;
        } else {
                if (!char_is(b, CHAR_TOKEN))
                        return REFUSAL_TRAILER;
                c->state = STATE_NAME;
        }
        return 0;
}

static int expect(struct chunked *c, bool met, enum state next, int refusal) {
        c->state = next;
        return met ? 0 : refusal;
}

/* One byte that is not data. 0 or the refusal. */
static int on_byte(struct chunked *c, uint8_t b) {
        switch ((enum state)c->state) {
        case STATE_SIZE:
                return on_size(c, b);
        case STATE_BLANK:
        case STATE_EXTENSION:
        case STATE_QUOTED:
        case STATE_QUOTED_PAIR:
                return on_extension(c, b);
        case STATE_SIZE_LF:
                c->n_digits = 0;
                return expect(c, b == '\n', c->left ? STATE_DATA : STATE_TRAILER, REFUSAL_BARE_CR);
        case STATE_DATA_CR:
                return expect(c, b == '\r', STATE_DATA_LF, REFUSAL_CHUNK_END);
        case STATE_DATA_LF:
                return expect(c, b == '\n', STATE_SIZE, REFUSAL_CHUNK_END);
        case STATE_TRAILER:
        case STATE_NAME:
        case STATE_VALUE:
                return on_trailer(c, b);
        case STATE_VALUE_LF:
                return expect(c, b == '\n', STATE_TRAILER, REFUSAL_BARE_CR);
        case STATE_LAST_LF:
                return expect(c, b == '\n', STATE_END, REFUSAL_BARE_CR);
        case STATE_DATA:
        case STATE_END:
                break;
        }
        return 0;
}

static void take_data(struct chunked *c, const uint8_t **at, const uint8_t *end, const uint8_t **ret_piece, size_t *ret_size) {
        size_t n = (size_t)MIN(c->left, (uint64_t)(end - *at));

        *ret_piece = *at;
        *ret_size = n;
        *at += n;
        c->left -= n;
        if (!c->left)
                c->state = STATE_DATA_CR;
}

enum chunked_result chunked_next(struct chunked *c, const uint8_t **at, const uint8_t *end, const uint8_t **ret_piece, size_t *ret_size,
                                 enum refusal *ret_refusal) {
        while (*at < end) {
                int r;

                if (c->state == STATE_DATA) {
                        take_data(c, at, end, ret_piece, ret_size);
                        return CHUNKED_DATA;
                }
                r = on_byte(c, *(*at)++);
                if (r) {
                        *ret_refusal = (enum refusal)r;
                        return CHUNKED_REFUSED;
                }
                if (c->state == STATE_END)
                        return CHUNKED_END;
        }
        return CHUNKED_MORE;
}
