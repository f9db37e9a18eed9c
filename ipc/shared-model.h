/* SPDX-License-Identifier: Apache-2.0
 *
 * The accessors of ipc/shared.h for a program that runs the ring's own code
 * under every order of its accesses. `site` is the function that makes one.
 */
#pragma once

#include <stdint.h>

#define shared_load64(word) model_load(word, __func__)
#define shared_load32(word) ((uint32_t)model_load(word, __func__))
#define shared_store64(word, value) model_store(word, value, __func__)
#define shared_store32(word, value) model_store(word, value, __func__)
#define shared_copy_out(to, from, size) model_copy_out(to, from, size, __func__)
#define shared_copy_in(to, from, size) model_copy_in(to, from, size, __func__)
#define shared_zero(to, size) model_copy_in(to, (const void *)0, size, __func__)
#define shared_fence() model_fence(__func__)
#define shared_copy_words_out(to, from, n) model_copy_words_out(to, from, n, __func__)
#define shared_store_word(word, value) model_store_word(word, value, __func__)
#define shared_load_own(word) model_load_own(word)
#define shared_fence_loads() model_fence_loads(__func__)
#define shared_fence_stores() model_fence_stores(__func__)

/* Defined by the program. Of copies into memory, from == NULL means zeroes. */
uint64_t model_load(const volatile void *word, const char *site);
void model_store(volatile void *word, uint64_t value, const char *site);
void model_copy_out(void *to, const uint8_t *from, uint64_t size, const char *site);
void model_copy_in(uint8_t *to, const void *from, uint64_t size, const char *site);
void model_fence(const char *site);
void model_copy_words_out(uint64_t *to, const volatile void *from, uint64_t n, const char *site);
void model_store_word(volatile void *word, uint64_t value, const char *site);
uint64_t model_load_own(const volatile void *word);
void model_fence_loads(const char *site);
void model_fence_stores(const char *site);
