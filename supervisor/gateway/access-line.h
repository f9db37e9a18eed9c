/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of the access log. Pure. Whatever bytes a request is made of, a line is
 * one line, its fields end where they end, and it is no longer than
 * ACCESS_LINE_MAX.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/control.h"
#include "ipc/http-payload.h"

#define ACCESS_LINE_MAX 12288u

struct access_line {
#define TEXT(name, journal, max) struct http_text name;
#define NUMBER(name, journal) uint64_t name;
#include "supervisor/common/access-fields.def"
        uint64_t time_ms; /* since 1970 */
        uint8_t minor;    /* HTTP/1.minor */
};

/* What is said of who went away before he was answered: nginx's. */
#define ACCESS_STATUS_ABORTED 499

/* With its newline; in the journal's form, fields in lines of their own, and an empty line. Returns its size. */
size_t access_line_format(const struct access_line *line, enum control_access_format format, char text[static ACCESS_LINE_MAX]);
