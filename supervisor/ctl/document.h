/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the base's JSON with tolerance: another version of the base may leave
 * a member out or add one, and a table is still a table.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

const char *document_text(const json_t *object, const char *key);  /* "" when it is not a string there */
json_int_t document_number(const json_t *object, const char *key); /* -1 when it is not a number there */
bool document_true(const json_t *object, const char *key);         /* false when it is not true there */
bool document_false(const json_t *object, const char *key);        /* false when it is not false there */

/* A string of what may not be UTF-8: then it is cleaned. NULL: out of memory. */
json_t *document_string(const char *text);

/* Pretty, in ASCII (no byte of it can steer a terminal), with a newline. 0 or -ENOMEM. */
int document_print(const json_t *document, FILE *out);
