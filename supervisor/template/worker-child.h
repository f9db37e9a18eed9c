/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's journey from the fork to its module, as a table of steps.
 */
#pragma once

#include "ipc/control.h"

struct template;

/* Never returns. Failures are published on the page and end the process. */
_Noreturn void worker_child_main(struct template *template, const struct control_record *record, int page_fd);
