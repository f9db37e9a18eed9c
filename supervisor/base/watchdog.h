/* SPDX-License-Identifier: Apache-2.0
 *
 * Who watches whom: the base the roles, systemd the base.
 */
#pragma once

#include <stdint.h>

struct base;

void watchdog_init(struct base *base);
/* Does what is due. The next time that something is. */
uint64_t watchdog_tick(struct base *base);
