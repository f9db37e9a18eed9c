/* SPDX-License-Identifier: Apache-2.0
 *
 * One line each on standard error. Names of files and words of strangers stand in
 * them: what would end the line or move the reader's cursor is shown as '?'.
 */
#include "supervisor/common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program = "socle";
static int max_level = LOG_LEVEL_INFO;
static bool to_journal;

void log_begin(const char *name) {
        const char *level = getenv("SOCLE_LOG_LEVEL");

        program = name;
        to_journal = getenv("JOURNAL_STREAM") != NULL;
        if (level && !strcmp(level, "debug"))
                max_level = LOG_LEVEL_DEBUG;
        else if (level && !strcmp(level, "error"))
                max_level = LOG_LEVEL_ERROR;
}

static void line_clean(char *line, size_t size) {
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)line[i];

                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        line[i] = '?';
        }
}

void log_line(enum log_level level, const char *format, ...) {
        int saved = errno, n, used = 0;
        char line[2048];
        va_list args;

        if ((int)level > max_level)
                return;
        if (to_journal)
                used = snprintf(line, sizeof(line), "<%d>", level);
        used += snprintf(line + used, sizeof(line) - (size_t)used, "%s: ", program);
        errno = saved; /* for %m */
        va_start(args, format);
        n = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
        va_end(args);
        if (n > 0)
                used += n < (int)sizeof(line) - used - 1 ? n : (int)sizeof(line) - used - 2;
        line_clean(line, (size_t)used);
        line[used++] = '\n';
        /* One write: lines of several processes on one descriptor do not mix. */
        if (write(STDERR_FILENO, line, (size_t)used) < 0) { /* nobody is left to tell */
        }
        errno = saved;
}
