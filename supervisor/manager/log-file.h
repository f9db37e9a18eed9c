/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's log file: log/NAME.log, and log/NAME.log.1 (the youngest) ... after
 * rotation.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/control.h"

struct log_file {
        int folder, fd;
        char name[CONTROL_NAME_SIZE + 8];
        uint64_t size, max;
        unsigned keep;
};

/* `max` bytes, then it is rotated; `keep` rotated ones are kept. Opens nothing. */
void log_file_init(struct log_file *file, int folder, const char *module, uint64_t max, unsigned keep);
/* The next write opens it again, under its name. */
void log_file_close(struct log_file *file);
/* Appends whole lines: all of them or, with -errno, nothing. */
int log_file_write(struct log_file *file, const char *lines, size_t size);
/* The last whole lines, about `max` bytes of this file and the one before it. malloc'ed, terminated; NULL: none, or out of memory. */
char *log_file_end(int folder, const char *module, size_t max);
