/* SPDX-License-Identifier: Apache-2.0
 *
 * A head is first framed and then read. Framing goes over the bytes as they
 * come, line by line, and knows only lines: each ends in CR LF, none has a CR or
 * LF elsewhere, none but the first begins with white space, the empty one ends
 * the head; sizes are bounded here. A head that came in one piece (nearly every
 * one) is read where it lies; otherwise its pieces are put together first. So
 * llhttp only ever sees whole heads, and a byte sent alone costs its sender as
 * much as us.
 *
 *   phase HEAD --head whole--> BODY (length) or CHUNKED or END --> HEAD ...
 *   any --refusal--> REFUSED, for good
 */
#include "supervisor/gateway/http-parser.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/chars.h"

#define EMPTY_LINES_MAX 4
#define HELD_MIN 1024u

enum phase {
        PHASE_HEAD,
        PHASE_LENGTH,
        PHASE_CHUNKED,
        PHASE_END, /* to be told */
        PHASE_REFUSED,
};

void http_parser_init(struct http_parser *p) {
        *p = (struct http_parser){ .phase = PHASE_HEAD };
}

void http_parser_deinit(struct http_parser *p) {
        free(p->held);
        p->held = NULL;
        p->held_room = 0;
}

bool http_parser_at_end(const struct http_parser *p) {
        return p->phase == PHASE_END;
}

bool http_parser_in_body(const struct http_parser *p) {
        return p->phase == PHASE_LENGTH || p->phase == PHASE_CHUNKED;
}

uint64_t http_parser_due(const struct http_parser *p) {
        switch ((enum phase)p->phase) {
        case PHASE_LENGTH:
                return p->left;
        case PHASE_CHUNKED:
                return p->chunked.left;
        case PHASE_HEAD:
        case PHASE_END:
        case PHASE_REFUSED:
                break;
        }
        return 0;
}

static enum http_event refuse(struct http_parser *p, int refusal) {
        p->phase = PHASE_REFUSED;
        p->begun = false;
        p->refusal = (enum refusal)refusal;
        return HTTP_EVENT_REFUSED;
}

/* Framing -------------------------------------------------------------------------------------------------------------- */

static int too_large(const struct http_parser *p) {
        if (!p->line_done)
                return p->line_size > HTTP_LINE_MAX ? REFUSAL_LINE_TOO_LONG : 0;
        return p->fields_size > HTTP_FIELDS_MAX ? REFUSAL_HEAD_TOO_LARGE : 0;
}

/* The first byte of a line that is not the empty one. */
static int line_begin(const struct http_parser *p, uint8_t first) {
        if (!char_is(first, CHAR_BLANK) || p->line_size)
                return 0;
        return !p->line_done ? REFUSAL_REQUEST_LINE : REFUSAL_FOLD;
}

/* The LF of a line's end has come. True: it was the empty line that ends the head. */
static bool line_end(struct http_parser *p) {
        bool empty = p->line_size == 0;

        p->after_cr = false;
        p->line_size = 0;
        if (!empty)
                p->line_done = true;
        return empty;
}

/* Bytes of one line up to its CR. 0 or a refusal: the one for what comes first, so that it does not depend on how the bytes came. */
static int frame_text(struct http_parser *p, uint8_t **at, uint8_t *end) {
        uint8_t *begin = *at, *cr = memchr(begin, '\r', (size_t)(end - begin)), *stop = cr ? cr : end;
        uint8_t *lf = memchr(begin, '\n', (size_t)(stop - begin));
        uint32_t n = (uint32_t)((lf ? lf : stop) - begin);
        int refusal = n ? line_begin(p, *begin) : 0;

        if (refusal)
                return refusal;
        p->line_size += n;
        if (p->line_done)
                p->fields_size += n + (cr && !lf ? 2 : 0);
        refusal = too_large(p);
        if (refusal || lf)
                return refusal ? refusal : REFUSAL_BARE_LF;
        p->after_cr = cr != NULL;
        *at = stop + (cr != NULL);
        return 0;
}

/* Goes over the input. 0: the head is whole and ends at *ret_end; -1: there must be more; else a refusal. */
static int frame_head(struct http_parser *p, uint8_t *at, uint8_t *end, uint8_t **ret_end) {
        while (at < end) {
                int refusal;

                if (p->after_cr) {
                        if (*at++ != '\n')
                                return REFUSAL_BARE_CR;
                        if (line_end(p)) {
                                *ret_end = at;
                                return 0;
                        }
                        continue;
                }
                refusal = frame_text(p, &at, end);
                if (refusal)
                        return refusal;
        }
        return -1;
}

/* RFC 9112 2.2: empty lines before a request line are skipped, a few of them. */
static int skip_empty_lines(struct http_parser *p, struct http_input *in) {
        while (!p->begun && in->at < in->end) {
                if (p->after_cr) {
                        if (*in->at++ != '\n')
                                return REFUSAL_BARE_CR;
                        p->after_cr = false;
                } else if (*in->at == '\r') {
                        if (p->n_empty++ == EMPTY_LINES_MAX)
                                return REFUSAL_EMPTY_LINES;
                        p->after_cr = true;
                        in->at++;
                } else {
                        p->begun = true;
                }
        }
        return 0;
}

/* Putting together ------------------------------------------------------------------------------------------------------- */

static bool hold(struct http_parser *p, const uint8_t *data, size_t size) {
        if (!p->held || p->held_size + size > p->held_room) {
                size_t room = MAX(MAX((size_t)p->held_room * 2, p->held_size + size), (size_t)HELD_MIN);
                uint8_t *grown = realloc(p->held, room);

                if (!grown)
                        return false;
                p->held = grown;
                p->held_room = (uint32_t)room;
        }
        memcpy(p->held + p->held_size, data, size);
        p->held_size += (uint32_t)size;
        return true;
}

static void head_over(struct http_parser *p) {
        p->begun = p->line_done = p->after_cr = false;
        p->n_empty = 0;
        p->line_size = p->fields_size = 0;
        p->held_size = 0;
}

static enum http_event read_head(struct http_parser *p, uint8_t *data, size_t size, struct http_head *head) {
        int refusal = http_head_parse(data, size, head);

        if (refusal)
                return refuse(p, refusal);
        head_over(p);
        if (head->chunked) {
                chunked_init(&p->chunked);
                p->phase = PHASE_CHUNKED;
        } else {
                p->left = head->length;
                p->phase = head->length ? PHASE_LENGTH : PHASE_END;
        }
        return HTTP_EVENT_HEAD;
}

static enum http_event next_in_head(struct http_parser *p, struct http_input *in, struct http_head *head) {
        uint8_t *begin, *end;
        int r;

        r = skip_empty_lines(p, in);
        begin = in->at;
        if (r)
                return refuse(p, r);
        if (begin == in->end)
                return HTTP_EVENT_MORE;
        r = frame_head(p, begin, in->end, &end);
        if (r > 0)
                return refuse(p, r);
        if (r < 0)
                end = in->end;
        in->at = end;
        if (r == 0 && !p->held_size)
                return read_head(p, begin, (size_t)(end - begin), head);
        if (!hold(p, begin, (size_t)(end - begin)))
                return HTTP_EVENT_FAILED;
        return r < 0 ? HTTP_EVENT_MORE : read_head(p, p->held, p->held_size, head);
}

/* Bodies ------------------------------------------------------------------------------------------------------------------ */

static enum http_event next_in_length(struct http_parser *p, struct http_input *in, const uint8_t **ret_piece, size_t *ret_size) {
        size_t n = (size_t)MIN(p->left, (uint64_t)(in->end - in->at));

        if (!n)
                return HTTP_EVENT_MORE;
        *ret_piece = in->at;
        *ret_size = n;
        in->at += n;
        p->left -= n;
        if (!p->left)
                p->phase = PHASE_END;
        return HTTP_EVENT_BODY;
}

static enum http_event next_in_chunked(struct http_parser *p, struct http_input *in, const uint8_t **ret_piece, size_t *ret_size) {
        const uint8_t *at = in->at;
        enum chunked_result r;
        enum refusal refusal;

        r = chunked_next(&p->chunked, &at, in->end, ret_piece, ret_size, &refusal);
        in->at += at - in->at;
        switch (r) {
        case CHUNKED_DATA:
                return HTTP_EVENT_BODY;
        case CHUNKED_END:
                p->phase = PHASE_HEAD;
                return HTTP_EVENT_END;
        case CHUNKED_REFUSED:
                return refuse(p, refusal);
        case CHUNKED_MORE:
                break;
        }
        return HTTP_EVENT_MORE;
}

enum http_event http_parser_next(struct http_parser *p, struct http_input *in, struct http_head *head, const uint8_t **ret_piece,
                                 size_t *ret_size) {
        if (!p->begun)
                http_parser_deinit(p); /* the head was read: neither a body nor an idle connection holds it */
        switch ((enum phase)p->phase) {
        case PHASE_HEAD:
                return next_in_head(p, in, head);
        case PHASE_LENGTH:
                return next_in_length(p, in, ret_piece, ret_size);
        case PHASE_CHUNKED:
                return next_in_chunked(p, in, ret_piece, ret_size);
        case PHASE_END:
                p->phase = PHASE_HEAD;
                return HTTP_EVENT_END;
        case PHASE_REFUSED:
                break;
        }
        return HTTP_EVENT_REFUSED;
}
