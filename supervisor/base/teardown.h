/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of an instance, step by step, each read back from the kernel.
 */
#pragma once

#include <stdint.h>

struct base;
struct instance;
struct watch;

/* The pidfd's reaction: reaps and begins. */
void teardown_on_death(struct base *base, struct watch *watch, uint32_t events);
/* The next time that a step is overdue; ends those that are. */
uint64_t teardown_tick(struct base *base);
/* Sends EXITED. */
void teardown_tell(struct base *base, const struct instance *instance, uint32_t adopted);
