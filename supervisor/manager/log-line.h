/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of a module's log, and its forms: clean text, a line of a file, JSON.
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* X(name): where a line comes from; base: the manager says something about the module's log. */
#define LOG_SOURCES                                                                                                                        \
        X(log)                                                                                                                             \
        X(stdout)                                                                                                                          \
        X(stderr)                                                                                                                          \
        X(base)

enum log_source {
#define X(name) LOG_FROM_##name,
        LOG_SOURCES
#undef X
                LOG_N_SOURCES
};

#define LOG_TEXT_MAX 4096                  /* of a line as the module wrote it */
#define LOG_CLEAN_MAX (LOG_TEXT_MAX * 4)   /* when every byte is escaped */
#define LOG_LINE_MAX (LOG_CLEAN_MAX + 512) /* of a file, with what stands before the text */

struct log_line {
        uint64_t time_ns; /* CLOCK_REALTIME */
        uint64_t instance;
        int32_t pid;    /* 0: not known any more */
        uint32_t level; /* 0 to 7, as syslog's */
        enum log_source source;
        const char *module, *version, *text; /* text: clean */
        size_t size;
};

const char *log_source_name(enum log_source source);
const char *log_level_name(uint32_t level);
/* 0 and the level, or -EINVAL. */
int log_level_parse(const char *name, uint32_t *ret_level);

/* Valid UTF-8 without control characters: '\n', '\r' and what is invisible, reorders text or is not UTF-8 become escapes,
 * NUL is dropped (it is the worker's bell), tabs stay. `clean` has room for 4 bytes for each of text's. The new size. */
size_t log_text_clean(const char *text, size_t size, char *clean);

/* "<N>" before a line of standard output or error is its level, as in sd-daemon(3), but never more urgent than critical: its size, or 0. */
size_t log_prefix(const char *text, size_t size, uint32_t *ret_level);

/* "2026-11-23T20:33:49.123Z info 1.0.0 #7 stdout text" and a newline. The size. */
size_t log_line_format(const struct log_line *line, char text[static LOG_LINE_MAX]);
/* Reads one back, without its newline; cuts it up, the line's pointers point into it. Not of this form: -EINVAL. */
int log_line_parse(char *text, struct log_line *ret_line);

/* NULL: out of memory. */
json_t *log_line_json(const struct log_line *line);
