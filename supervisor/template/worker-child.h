/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's journey from the fork to its module, as a table of steps.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"

struct template;

/* What the child is to become: told at once, or on a link later. */
struct child_order {
        uint64_t instance;
        struct control_record *record; /* FORK_WORKER; of a spare, where it is put when it comes */
        int link;                      /* it comes here; -1: it has come */
        bool family;                   /* it is in a PID namespace, rootless in a user namespace as well */
};

/* Is it in order: its text, the number of its descriptors? */
bool worker_order_ok(const struct control_record *record);

/* Never returns. Failures are published on the page and end the process. */
_Noreturn void worker_child_main(struct template *template, const struct child_order *order, int page_fd);
