/* SPDX-License-Identifier: Apache-2.0
 *
 * The fuzz build's view of reads of shared memory.
 */
#pragma once

#include <stdint.h>

/* Defined by the fuzz target: these bytes of a peer's memory are about to be copied out. */
void shared_fetching(const uint8_t *from, uint64_t size);
