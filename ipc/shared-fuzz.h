/* SPDX-License-Identifier: Apache-2.0
 *
 * The view that a fuzz target or a test has of reads of shared memory.
 */
#pragma once

#include <stdint.h>

/* Defined by the target: these bytes of a peer's memory are about to be copied out; this word is about to be loaded. */
void shared_fetching(const uint8_t *from, uint64_t size);
void shared_loading(const void *word);
