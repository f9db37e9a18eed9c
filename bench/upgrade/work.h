/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench-upgrade and its two modules agree on: what a nonce means, and what
 * the reply to it says. Both ends work it out for themselves, so a reply that
 * is another's, of another version than it says, or damaged, shows.
 *
 * The book is a file in a module's data folder, mapped by every worker of it: what a
 * worker has written is there when it was killed in the next instruction.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WORK_NONCES (UINT32_C(1) << 23)
#define WORK_SICK 1000000 /* from this number on, a version that crashes on every tenth request */
#define WORK_CALLS 8      /* of one request to `via`: the nonces behind its own */
#define WORK_REPLY_MAX 1024
#define WORK_ARGUMENTS "[i]"                  /* nonce */
#define WORK_RESULT "s"                       /* a reply */
#define WORK_CALL_LINE "%u %d %u %llu %llu\n" /* nonce, outcome, version of `up`, called at and answered after: ns */
#define WORK_BAD_RESULT 1000                  /* an outcome beside SOCLE_E_*: the result was another's, or damaged */

#define BOOK_FILE "book"
struct book {
        _Atomic uint8_t runs[WORK_NONCES]; /* how often each nonce's handler was begun */
};

/* splitmix64's finalizer */
static inline uint64_t work_mix(uint64_t x) {
        x = (x + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}

/* 2 % take 50 to 200 ms, the others none. */
static inline unsigned work_sleep_ms(uint32_t nonce) {
        uint64_t x = work_mix(nonce);

        return x % 50 ? 0 : 50 + (unsigned)(x >> 32) % 151;
}

/* May it run twice? A GET of `up` or `up.again`, else a POST or `up.once`. A request to `via` may not: its calls may not. */
static inline bool work_is_safe(uint32_t nonce) {
        return nonce & 1;
}

/* "WHO NONCE VERSION BYTES\n"; the bytes, 0 to 699 of them, follow from all three. */
static inline size_t work_reply(char *ret_text, const char *who, uint32_t nonce, uint32_t version) {
        uint64_t x = work_mix((uint64_t)nonce << 32 | version) + (uint8_t)who[0];
        size_t n = (size_t)snprintf(ret_text, WORK_REPLY_MAX, "%s %u %u ", who, nonce, version), end = n + x % 700;

        for (; n < end; n++)
                ret_text[n] = (char)('a' + (x >> n % 48 ^ n) % 26);
        ret_text[n++] = '\n';
        ret_text[n] = '\0';
        return n;
}
