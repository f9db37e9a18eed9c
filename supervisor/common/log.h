/* SPDX-License-Identifier: Apache-2.0
 *
 * Diagnostics of the base and its roles: one line each on standard error, with
 * the sd-daemon(3) level prefix when it goes to the journal.
 */
#pragma once

#include <stdbool.h>

#include "ipc/cleanup.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* `program` stands before every line: "socle-manager: ...". SOCLE_LOG_LEVEL=debug shows debug lines. */
void log_begin(const char *program);
/* Whether standard error is the journal. */
bool log_is_journal(void);
void log_line(enum log_level level, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
