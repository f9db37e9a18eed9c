/* SPDX-License-Identifier: Apache-2.0
 *
 * On which core a worker is placed: [template] affinity.
 */
#pragma once

#include <sched.h>
#include <stdint.h>

struct candidate;

/* For another instance of this version: 1 + the CPU, or 0 where it is the kernel's to say. */
uint32_t placement_choose(const struct candidate *candidate);
/* The same of a worker that a former manager has placed. */
uint32_t placement_of(int pid);

/* Pure: of the CPUs in `mine` the one that fewest of the n have been placed on; of several the lowest. -1: there is none. */
int placement_least(const cpu_set_t *mine, const uint32_t *placed, uint32_t n);
