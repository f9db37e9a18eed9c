/* SPDX-License-Identifier: Apache-2.0
 *
 * The only ways to touch memory that another process writes, and to put into
 * one's own what another process reads. Each word is loaded once and then checked
 * in private; bytes are copied out once before they are looked at.
 *
 * With SOCLE_FUZZ_SHARED every load and copy is told to the test first, which
 * asserts that no byte is fetched twice, and may change what is about to be read:
 * as a peer can, between any two reads. With SOCLE_MODEL_SHARED the test takes
 * the place of the memory: see tests/model.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#ifdef SOCLE_MODEL_SHARED
#include "ipc/shared-model.h"
#else

#ifdef SOCLE_FUZZ_SHARED
#include "ipc/shared-fuzz.h"
#else
#define shared_fetching(from, size) ((void)0)
#define shared_loading(word) ((void)0)
#endif

/* A peer's memory is mapped read-only: the cast takes away const for the sake of C11's atomics, nothing is stored. */
static inline uint64_t shared_load64(const _Atomic uint64_t *word) {
        shared_loading(word);
        return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)word, memory_order_acquire);
}

static inline uint32_t shared_load32(const _Atomic uint32_t *word) {
        shared_loading(word);
        return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)word, memory_order_acquire);
}

static inline void shared_store64(_Atomic uint64_t *word, uint64_t value) {
        atomic_store_explicit(word, value, memory_order_release);
}

static inline void shared_store32(_Atomic uint32_t *word, uint32_t value) {
        atomic_store_explicit(word, value, memory_order_release);
}

static inline void shared_copy_out(void *to, const uint8_t *from, uint64_t size) {
        shared_fetching(from, size);
        memcpy(to, from, size);
        /* The copy is made here and now: the compiler must not look at the original again instead. */
        __asm__ volatile("" ::: "memory");
}

/* Plain stores: nobody looks at these bytes before a word says that they are there. */
static inline void shared_copy_in(uint8_t *to, const void *from, uint64_t size) {
        memcpy(to, from, size);
}

static inline void shared_zero(uint8_t *to, uint64_t size) {
        memset(to, 0, size);
}

/* Words that are being overwritten while they are copied may come out torn: whoever copies them looks afterwards whether they
 * were, behind shared_fence_loads(). The writer says that it will overwrite before it does, and then shared_fence_stores(). */
static inline void shared_copy_words_out(uint64_t *to, const _Atomic uint64_t *from, uint64_t n) {
        shared_fetching((const uint8_t *)from, n * sizeof(*to));
        for (uint64_t i = 0; i < n; i++)
                to[i] = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&from[i], memory_order_relaxed);
}

static inline void shared_store_word(_Atomic uint64_t *word, uint64_t value) {
        atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Of one's own memory: what one has stored there last. */
static inline uint64_t shared_load_own(const _Atomic uint64_t *word) {
        return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)word, memory_order_relaxed);
}

static inline void shared_fence_loads(void) {
        atomic_thread_fence(memory_order_acquire);
}

static inline void shared_fence_stores(void) {
        atomic_thread_fence(memory_order_release);
}

/* Orders a store of ours before a load of the peer's word: both sides of a sleep protocol need it. */
static inline void shared_fence(void) {
        atomic_thread_fence(memory_order_seq_cst);
}

#endif
