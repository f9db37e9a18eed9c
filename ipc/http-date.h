/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates of HTTP (RFC 9110 5.6.7), whatever the locale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and NUL */

void http_date_format(uint64_t realtime_s, char ret_date[HTTP_DATE_SIZE]);
/* All three forms; the name of the day is not looked at beyond its form. now_s tells the century of the one whose years have two
 * digits. False: it is none, or before 1970. */
bool http_date_parse(const char *text, size_t size, uint64_t now_s, uint64_t *ret_realtime_s);
