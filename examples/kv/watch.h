/* SPDX-License-Identifier: Apache-2.0
 *
 * Who wants to hear of changes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <socle/module.h>

/* Only in `start`. 0 or -errno. */
int watch_start(struct socle_module *self);
/* A key has been put or deleted. */
void watch_tell(const char *what, const void *key, size_t size);
/* Answers with an event for each change of a key that begins so, for as long as the client listens. */
int watch_serve(struct socle_reply *reply, const char *prefix);
/* Off: everybody who listens is let go. An EventSource comes back, to the version that serves then. */
void watch_set(bool on);
