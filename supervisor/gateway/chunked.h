/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking the chunked transfer coding off (RFC 9112 7.1), strictly: a line ends
 * in CR LF and in nothing else. Pure; keeps no bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "supervisor/gateway/refusal.h"

struct chunked {
        uint64_t left; /* of the current chunk */
        uint32_t n_digits, n_extension, n_trailer;
        uint8_t state;
};

enum chunked_result {
        CHUNKED_MORE,    /* everything is consumed */
        CHUNKED_DATA,    /* a piece of the body */
        CHUNKED_END,     /* the body and its trailer are over */
        CHUNKED_REFUSED, /* see *ret_refusal */
};

void chunked_init(struct chunked *c);
/* Goes on at *at, which is moved to where it stopped. A piece is a view into the input. */
enum chunked_result chunked_next(struct chunked *c, const uint8_t **at, const uint8_t *end, const uint8_t **ret_piece, size_t *ret_size,
                                 enum refusal *ret_refusal);
