/* SPDX-License-Identifier: Apache-2.0
 *
 * [limits] disk: what workers keep in their folders is looked at now and then, and
 * told to the manager, who decides.
 */
#pragma once

#include <stdint.h>

struct base;
struct instance;

/* Returns when it is due again; UINT64_MAX: not by time. */
uint64_t disk_tick(struct base *base);
/* The instance has ended: nobody counts its files any more. */
void disk_forget(struct base *base, const struct instance *instance);
