/* SPDX-License-Identifier: Apache-2.0
 *
 * Who kills: a thread that sends SIGKILL at random moments to a role, or to the
 * worker of the version that is being deployed.
 */
#pragma once

#include "bench/upgrade/timeline.h"

struct killer;

/* Victims: a set of 1 << enum victim. NULL: errno. */
struct killer *killer_start(const char *root, struct timeline *timeline, unsigned victims);
void killer_stop(struct killer *killer); /* NULL is fine */
