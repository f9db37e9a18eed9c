/* SPDX-License-Identifier: Apache-2.0
 *
 * One line each on standard error. Names of files and words of strangers stand in
 * them: what would end the line or move the reader's cursor is shown as '?'.
 *
 * Nobody waits for whoever reads them. A journal that hangs, a pager that nobody
 * scrolls, a terminal that was stopped would stop the base and all its roles: lines
 * that are not taken at once are lost, and counted.
 */
#include "supervisor/common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *program = "socle";
static int max_level = LOG_LEVEL_INFO;
static bool to_journal;
static _Atomic unsigned n_lost; /* lines */

void log_begin(const char *name) {
        const char *level = getenv("SOCLE_LOG_LEVEL");

        program = name;
        to_journal = getenv("JOURNAL_STREAM") != NULL;
        if (level && !strcmp(level, "debug"))
                max_level = LOG_LEVEL_DEBUG;
        else if (level && !strcmp(level, "error"))
                max_level = LOG_LEVEL_ERROR;
}

bool log_is_journal(void) {
        return to_journal;
}

static void line_clean(char *line, size_t size) {
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)line[i];

                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        line[i] = '?';
        }
}

/* The open file is shared with others, so its flags are not ours to set. poll() says that there is room for a line; of a socket
 * only this one call is asked not to wait, for others may take the room. False: nobody takes it. */
static bool line_write(const char *line, size_t size) {
        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
        ssize_t n;

        if (poll(&p, 1, 0) == 0)
                return false;
        /* One call: lines of several processes on one descriptor do not mix. */
        n = send(STDERR_FILENO, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
                n = write(STDERR_FILENO, line, size);
        return n >= 0 || errno != EAGAIN; /* other errors are for ever, and nobody is left to tell */
}

static void tell_lost(void) {
        unsigned n = n_lost ? atomic_exchange(&n_lost, 0) : 0;
        char line[128];
        int size;

        if (!n)
                return;
        size = snprintf(line, sizeof(line), "%s%s: %u lines were lost: nobody took them\n", to_journal ? "<4>" : "", program, n);
        if (!line_write(line, (size_t)size))
                n_lost += n;
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
        tell_lost();
        if (n_lost || !line_write(line, (size_t)used))
                n_lost++;
        errno = saved;
}
