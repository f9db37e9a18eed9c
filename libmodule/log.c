/* SPDX-License-Identifier: Apache-2.0
 *
 * What a module says: socle_log() into the ring of its page, and the loss of what
 * it prints. Nothing here waits for anybody.
 *
 * The manager sleeps until a pipe of standard output or error has something for
 * it; whenever it has read a pipe, it reads the ring, in this order. So a line in
 * the ring needs a bell only while the pipe is empty: one byte, a NUL, which the
 * reader drops from the text. Written after the line and a full fence, and only
 * when the kernel says that nothing lies in the pipe, it is rung once for any
 * number of lines, and it never finds the pipe full.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/shared.h"
#include "ipc/utf8.h"
#include "libmodule/worker-internal.h"

#define MESSAGE_MAX 4096
#define MARK "..."

static int bell = -1;

int log_start(void) {
        /* A duplicate: modules close or replace standard output for reasons of their own. */
        bell = fd_dup(STDOUT_FILENO);
        return MIN(bell, 0);
}

static void log_ring(void) {
        int waiting;

        shared_fence();
        if (bell >= 0 && ioctl(bell, FIONREAD, &waiting) == 0 && waiting == 0 && write(bell, "", 1) < 0)
                return; /* nobody reads any more */
}

/* Lines longer than a record are told in pieces, each but the first and the last with a mark at both ends. */
static void log_pieces(enum socle_log_level level, const char *text, size_t size) {
        char piece[PAGE_LINE_SIZE];
        size_t mark = 0;

        while (mark + size > sizeof(piece)) {
                size_t n = utf8_cut(text, size, sizeof(piece) - mark - strlen(MARK));

                memcpy(piece, MARK, mark);
                memcpy(piece + mark, text, n);
                memcpy(piece + mark + n, MARK, strlen(MARK));
                page_log(the_worker.start.page, level, piece, (uint32_t)(mark + n + strlen(MARK)));
                mark = strlen(MARK);
                text += n;
                size -= n;
        }
        memcpy(piece, MARK, mark);
        memcpy(piece + mark, text, size);
        page_log(the_worker.start.page, level, piece, (uint32_t)(mark + size));
}

void socle_log(enum socle_log_level level, const char *format, ...) {
        int saved = errno, n;
        char text[MESSAGE_MAX + 1];
        va_list args;

        if (!the_worker.start.page)
                return;
        va_start(args, format);
        n = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (n > MESSAGE_MAX) {
                n = MESSAGE_MAX;
                memcpy(text + n - strlen(MARK), MARK, strlen(MARK));
        }
        if (n >= 0) {
                log_pieces(level, text, (size_t)n);
                log_ring();
        }
        errno = saved;
}

/* A full pipe makes stdio drop what it had to write and remember that it failed. */
void log_turn(void) {
        struct page_memory *page = the_worker.start.page;
        unsigned failed = !!ferror_unlocked(stdout) + !!ferror_unlocked(stderr);

        if (!failed)
                return;
        clearerr(stdout);
        clearerr(stderr);
        shared_store64(&page->output_lost, shared_load64(&page->output_lost) + failed);
        log_ring();
}
