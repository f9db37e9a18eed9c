/* SPDX-License-Identifier: Apache-2.0
 *
 * What came of an attempt: an exit status and a document. A failure of our own
 * (no base, no such file) is a problem document as one of the base is, so that
 * it is reported in one place, to people and to programs.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "ipc/cleanup.h"
#include "supervisor/common/fault.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/command.h"

struct answer {
        enum verdict verdict;
        json_t *document; /* NULL: out of memory */
        bool problem;     /* the document has code, detail and perhaps hint */
        bool lost;        /* the base had the request, and hung up before it answered */
};

void answer_init(struct answer *answer); /* success, no document */
void answer_deinit(struct answer *answer);

/* Replaces the answer by a problem; hint NULL: that of the table. */
void answer_problem(struct answer *answer, enum fault fault, const char *hint, const char *format, ...) _printf_(4, 5);

/* What came of a file: NOT_FOUND, or the fault. */
void answer_file_problem(struct answer *answer, enum fault fault, const char *path, int error);

/* Asks the base with this root (NULL: the machine's). Never fails: what goes wrong becomes the answer. A target of NULL
 * is out of memory. */
void answer_fetch(struct answer *answer, const char *root, const struct request *request);

/* Pure: what a response means. The body is JSON or becomes a problem. */
void answer_read(struct answer *answer, const struct response *response);
enum verdict verdict_of_http(int status); /* without a code that is known */

/* "soclectl: CODE: detail", whose fault it is and the hint, when it is a problem. */
void answer_report(const struct answer *answer, FILE *err);

/* Prints the document, as JSON or through show(); then the report. A problem is shown when it is an operation, too.
 * Returns the exit status. */
typedef int (*answer_show)(const struct command *command, const json_t *document, FILE *out); /* 0 or -errno */
int answer_finish(struct answer *answer, const struct command *command, answer_show show, FILE *out, FILE *err);
