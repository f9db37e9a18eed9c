/* SPDX-License-Identifier: Apache-2.0
 *
 * Test vectors of msgpack, written from its specification
 * (https://github.com/msgpack/msgpack/blob/master/spec.md): every type and each
 * boundary, and what must be refused. All that reads or writes msgpack is tested
 * with this one table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct part {
        const char *bytes;
        uint32_t size, times;
};

struct vector {
        const char *section; /* of the specification */
        const char *name;
        struct part parts[3];
        const char *text;    /* what it is, as dump.h writes it; NULL: to be refused */
        size_t at;           /* refused: where, in bytes */
        bool repacked;       /* our packer writes it another way: the shortest, integers from 0 as unsigned, floats of 64 bits */
        const char *no_json; /* what JSON gives back is something else: why */
        bool huge;           /* not to be shown to msgpack-c, which allocates what is declared */
};

extern const struct vector vectors[];
extern const size_t n_vectors;

size_t vector_size(const struct vector *v);
/* The bytes, malloc'ed to the exact size. */
uint8_t *vector_bytes(const struct vector *v, size_t *ret_size);
/* A copy of the exact size, so that a sanitizer sees one byte too far. */
uint8_t *exact_copy(const void *bytes, size_t size);
