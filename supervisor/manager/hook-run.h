/* SPDX-License-Identifier: Apache-2.0
 *
 * `socle-manager --run-hooks [ROOT]`: the child of the manager that runs the
 * programs of hooks.d. One order is one datagram on its link; its answer, when all
 * programs have ended, is one byte. It ends with the link.
 */
#pragma once

#include <stdint.h>

#define HOOK_LINK_FD 3
#define HOOK_FOLDER_FD 4
#define HOOK_EVENT_MAX (32u << 10)

struct hook_order {
        uint64_t lost; /* events that were dropped before this one */
        uint64_t timeout_ms;
        /* followed by the event: JSON, not terminated */
};

/* `root`: of a private base, else NULL. The exit status. */
int hook_run(const char *root);
