/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed errors of the bus, generated from errors.def. SOCLE_E_* of the SDK has
 * the same codes (a unit test holds the two together).
 */
#pragma once

#include <stdbool.h>

enum error_code {
        ERROR_NONE = 0,
#define X(name, code, status, retryable, fault, meaning) ERROR_##name = code,
#include "ipc/errors.def"
#undef X
};

struct error_info {
        const char *name;    /* "NOT_FOUND" */
        int http_status;     /* 404 */
        bool retryable;      /* on another instance, even when not idempotent */
        const char *fault;   /* "CALLER", "MODULE", "HOST" or "BASE" */
        const char *meaning; /* one sentence without a full stop */
};

/* Never NULL: an unknown code gives the entry of INTERNAL. */
const struct error_info *error_info(int code);
/* Does the table have it? */
bool error_known(int code);
