/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace that a request belongs to, as W3C Trace Context has it
 * (https://www.w3.org/TR/trace-context/): it comes with a client's `traceparent`
 * or begins at the gateway, and goes along with all calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_TEXT_SIZE 56 /* "00-TRACE-PARENT-FLAGS" and its NUL */

struct trace {
        uint8_t id[16];  /* not all zero */
        uint64_t parent; /* span of who calls; 0: none */
        bool sampled;
};

/* A new one. */
struct trace trace_new(void);
/* Never 0; not a secret. Of one process, and never the same as in another. */
uint64_t trace_span_new(void);
/* The value of a traceparent field. False when it is none that version 00 can read: then it counts as not there. */
bool trace_parse(const char *text, size_t size, struct trace *ret);
void trace_format(const struct trace *trace, char ret_text[TRACE_TEXT_SIZE]);
