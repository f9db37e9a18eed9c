/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing and reading pages. The writer side never blocks and never fails once
 * it is mapped; the reader side distrusts every word.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/page-layout.h"

#define PAGE_LINE_SIZE 1024

/* The template makes the file before the fork (unsealed), the worker maps and seals it. */
int page_new_fd(void);
/* Writer: maps and seals. 0 or -errno. The fd stays the caller's. */
int page_open_writer(int fd, uint64_t instance, struct page_memory **ret_page);

void page_set_level(struct page_memory *page, enum page_level level); /* also stamps it */
void page_fail(struct page_memory *page, int error_code, const char *text);
/* What is handled from now on: both parts of its name, cut where it is too long; the second may be NULL. */
void page_set_request(struct page_memory *page, const char *first, size_t first_size, const char *second, size_t second_size);
/* Where it is in its code. Async-signal-safe. */
void page_set_position(struct page_memory *page, const char *text, size_t size);
/* Appends a line to the log ring, overwriting the oldest; longer than PAGE_LINE_SIZE is cut. Thread-safe within the writer. */
void page_log(struct page_memory *page, uint32_t level, const char *text, uint32_t size);

struct page_reader;
/* Takes the fd (always consumed); checks size and seals. 0, -errno, -EPROTO. */
int page_reader_new(struct page_reader **ret_reader, int fd);
struct page_reader *page_reader_free(struct page_reader *reader);

/* A copy of the vital signs with every field checked. */
struct page_vitals {
        enum page_level level;
        uint64_t level_ns[8];
        uint64_t generation, turns, running_ns, in_flight, requests, errors, bytes_in, bytes_out, log_lines, output_lost;
        uint64_t published, received, topic_lost, overflowed;
        int error_code;
        char error_text[512]; /* always terminated, control characters replaced */
};
void page_read(const struct page_reader *reader, struct page_vitals *ret_vitals);

/* What a worker that is stuck does, and where; "" = nobody knows. Terminated, control characters replaced. */
struct page_stuck {
        char request[PAGE_REQUEST_SIZE], position[PAGE_POSITION_SIZE];
};
void page_read_stuck(const struct page_reader *reader, struct page_stuck *ret_stuck);

struct page_log_line {
        uint32_t level;
        uint64_t sequence, time_ns;
        uint32_t size;
        char text[PAGE_LINE_SIZE + 1]; /* as it was written, any bytes; terminated */
};
/* The next line after the reader's private cursor. 1 a line, 0 none; *ret_lost lines were overwritten before it. */
int page_next_line(struct page_reader *reader, struct page_log_line *ret_line, uint64_t *ret_lost);
/* The sequence of the next line: where another reader of the same page goes on. */
uint64_t page_reader_sequence(const struct page_reader *reader);
void page_reader_resume(struct page_reader *reader, uint64_t sequence);
