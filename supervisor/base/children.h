/* SPDX-License-Identifier: Apache-2.0
 *
 * Children that no table knows, and the end of those that have run no code but
 * ours.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct base;

bool child_is_known(const struct base *base, pid_t pid);
/* Kills it and waits for its end: it holds nothing yet. What is not reaped within some seconds is a stray from then on. */
void child_end(int pidfd);
/* Kills all that no table knows, and reaps them. */
void children_end_strays(const struct base *base);
