/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a base would start with what socled.conf says now.
 */
#pragma once

#include <stdint.h>

#include "ipc/control.h"

struct base;

/* Answers a CONFIG_CHECK. */
void config_check_on_request(struct base *base, uint64_t request);
/* Pure: whether one cannot be listened on while the other is. */
bool config_check_collide(const struct control_listener *a, const struct control_listener *b);
