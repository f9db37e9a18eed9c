/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel says of a process, as members of an object.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "ipc/control.h"

/* Users, capabilities, seccomp: nothing when the process is gone. */
void inspect_status(int32_t pid, json_t *object);
/* That, limits, control group, and what the base has read. */
void inspect_process(int32_t pid, const struct control_inspected *read, json_t *object);

/* Pure: /proc/PID/status and /proc/PID/limits as members of an object. 0, or -EINVAL when something is missing. */
int inspect_parse_status(char *text, json_t *object);
int inspect_parse_limits(char *text, json_t *object);
