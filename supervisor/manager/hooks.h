/* SPDX-License-Identifier: Apache-2.0
 *
 * The programs of etc/hooks.d: each is run for every event, one event after the
 * other. Nobody waits for them: events lie in a queue of their own meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct manager;

#define HOOKS_QUEUE_MAX 512 /* events that wait; what comes then is dropped, and counted */

/* `folder`: hooks.d, taken; -1: there is none. Before the first event. 0 or -errno. */
int hooks_start(struct manager *manager, int folder);
/* An event as it is sent to who follows, with its newline; NULL: there was no memory for it, and it counts as lost. */
void hooks_note(const char *line, size_t size);
/* The base stops and nothing else keeps it: are there events left that hooks still have time for? lifecycle_check_stopped() is
 * called when there are not any more. */
bool hooks_linger(void);
