/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines to the journal, in its native protocol: MESSAGE, PRIORITY,
 * SYSLOG_IDENTIFIER (the module), SYSLOG_PID (the worker), MODULE, VERSION,
 * INSTANCE, SOURCE, BASE.
 */
#pragma once

#include "supervisor/manager/log-line.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A socket for journal_send(), or -errno. */
int journal_open(void);
/* Whether there is a journal at this path. */
bool journal_is_there(const char *path);

struct journal_field {
        const char *name, *value; /* value: any bytes */
        size_t size;
};
/* One entry. Never waits: 0, or -errno (-EAGAIN: the journal does not keep up). */
int journal_send(int fd, const char *path, const struct journal_field *fields, size_t n);

int log_journal_write(int fd, const char *path, const char *base, const struct log_line *line);
