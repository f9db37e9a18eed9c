/* SPDX-License-Identifier: Apache-2.0
 *
 * Problem documents (RFC 9457) for everything that the gateway answers itself.
 */
#pragma once

#include <stddef.h>

#include "supervisor/gateway/refusal.h"

#define PROBLEM_TYPE "application/problem+json"
#define PROBLEM_SIZE_MAX 1024u

struct problem {
        int status;
        const char *code;   /* stable: "NO_ROUTE" */
        const char *detail; /* one sentence */
        const char *module; /* whom it concerns, or NULL */
};

/* error is an enum error_code of ipc/errors.h. */
struct problem problem_of_error(int error, const char *module);
struct problem problem_of_refusal(enum refusal refusal);
/* The document; its size. What is too long is cut at a whole character of JSON. */
size_t problem_format(const struct problem *problem, char ret_text[PROBLEM_SIZE_MAX]);
