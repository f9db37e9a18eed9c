/* SPDX-License-Identifier: Apache-2.0
 *
 * The book of a module: a file in its data folder, mapped by every worker of it,
 * so that what a worker has written is there when it was killed in the next
 * instruction. tests/soak/soak.py reads it (BOOK_* there).
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define BOOK_FILE "book"
#define BOOK_CALLS (UINT32_C(1) << 23)

enum book_outcome {
        BOOK_UNUSED,
        BOOK_BEGUN, /* and still so at the end: its worker has died */
        BOOK_COMPLETED,
        BOOK_ERRNO,        /* a negative errno: nothing that may be */
        BOOK_ERRORS = 10,  /* + SOCLE_E_* */
        BOOK_TWICE = 0x80, /* a flag: it may run twice */
};

/* A call of this module; its place in the book is its nonce. */
struct book_call {
        _Atomic uint32_t due_ms; /* CLOCK_MONOTONIC, the low bits */
        _Atomic uint32_t state;  /* pid << 8 | enum book_outcome */
};

struct book {
        _Atomic uint64_t n_calls;
        _Atomic uint64_t n_wrong;    /* replies with another's nonce */
        _Atomic uint64_t n_damaged;  /* arguments or results whose sum is not theirs */
        _Atomic uint64_t n_resumed;  /* calls that returned twice */
        _Atomic uint64_t n_large;    /* of more than a quarter ring, either way */
        _Atomic uint64_t n_nested;   /* made by a method */
        _Atomic uint64_t overrun_us; /* the worst past a deadline */
        uint64_t unused;
        struct book_call calls[BOOK_CALLS];
        _Atomic uint8_t runs[BOOK_CALLS]; /* how often each call of the *other* module was begun here */
};
