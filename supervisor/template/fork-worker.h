/* SPDX-License-Identifier: Apache-2.0
 *
 * The fork of one worker, as the base asks for it.
 */
#pragma once

#include "ipc/control.h"

struct template;

/* Forks the worker that a FORK_WORKER record asks for. In the template: 0 and what goes into FORKED; -errno. */
int fork_worker(struct template *template, struct control_record *record, struct control_forked *ret_forked, int *ret_pidfd, int *ret_page);
/* Likewise, for a FORK_SPARE record: one that waits for its FORK_WORKER. */
int fork_spare(struct template *template, struct control_record *record, struct control_forked *ret_forked, int *ret_pidfd, int *ret_page);
