/* SPDX-License-Identifier: Apache-2.0
 *
 * The last lines of a module, in memory and bounded: what `soclectl logs` shows,
 * wherever the lines go.
 */
#pragma once

#include <sys/queue.h>

#include "supervisor/manager/log-line.h"

struct log_kept {
        TAILQ_ENTRY(log_kept) entry;
        struct log_line line; /* its text and version are in here */
        size_t cost;
        char bytes[];
};

struct log_tail {
        TAILQ_HEAD(log_kept_list, log_kept) lines; /* the oldest first */
        size_t size, max;                          /* bytes */
};

void log_tail_init(struct log_tail *tail, size_t max);
void log_tail_deinit(struct log_tail *tail);
/* Without memory for it the line is not kept. `module` of the line must live as long as the tail. */
void log_tail_add(struct log_tail *tail, const struct log_line *line);
