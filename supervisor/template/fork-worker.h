/* SPDX-License-Identifier: Apache-2.0
 *
 * The fork of one worker, as the base asks for it.
 */
#pragma once

#include "ipc/control.h"
#include "supervisor/template/family.h"

struct template;

/* What goes with the answer. */
struct fork_result {
        int page;
        struct family family; /* of a worker that has none: it alone */
};
#define FORK_RESULT_INIT ((struct fork_result){ .page = -1, .family = { .worker = -1, .init = -1, .helper = -1 } })
void fork_result_deinit(struct fork_result *result);

/* Forks the worker that a FORK_WORKER record asks for. In the template: 0 and what goes into FORKED; -errno, and what goes
 * into FORK_REFUSED. */
int fork_worker(struct template *template, struct control_record *record, struct control_forked *ret_forked,
                struct fork_result *ret_result);
/* Likewise, for a FORK_SPARE record: one that waits for its FORK_WORKER. */
int fork_spare(struct template *template, struct control_record *record, struct control_forked *ret_forked, struct fork_result *ret_result);
