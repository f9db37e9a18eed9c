/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for a terminal. What comes from the base or a package is foreign: it may
 * hold control characters, so nothing of it is printed but through here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* UTF-8 for output, whatever the environment says; all else stays as in C. */
void text_begin(void);

/* Printable text: white space other than a blank becomes a blank, control and formatting characters (also those of
 * Unicode that reverse or hide text) and what is not UTF-8 become '?'. malloc'ed, NULL: out of memory. */
char *text_clean(const char *text);
size_t text_width(const char *text); /* columns that text_put() fills */
void text_put(FILE *out, const char *text);

/* Puts all of them and a newline. */
void text_put_line(FILE *out, ...) __attribute__((sentinel));
#define text_line(out, ...) text_put_line(out, __VA_ARGS__, (const char *)NULL)

/* Short forms of numbers, by value so that they can stand in an argument list. */
struct short_text {
        char text[32];
};
struct short_text text_size(uint64_t bytes);     /* "512B", "1.5K", "128M" */
struct short_text text_duration_us(uint64_t us); /* "310us", "1.4ms", "12s", "5m12s", "2h13m", "3d4h" */
struct short_text text_ms(uint64_t ns);          /* "1.400 ms": columns of it line up */
struct short_text text_number(int64_t number);   /* "-" for a negative one: not known */
