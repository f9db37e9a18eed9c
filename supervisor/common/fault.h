/* SPDX-License-Identifier: Apache-2.0
 *
 * What can go wrong, generated from fault.def: a code that is not in the table
 * does not compile.
 */
#pragma once

#include <stddef.h>

enum fault {
        FAULT_NONE = 0,
#define X(code, class, whose, http, verdict, meaning, hint) FAULT_##code,
#include "supervisor/common/fault.def"
#undef X
        N_FAULTS
};

/* soclectl's exit statuses. Of several attempts the highest is returned. */
enum verdict {
        VERDICT_SUCCESS = 0,
        VERDICT_USAGE = 2,
        VERDICT_FAILED = 3,
        VERDICT_NOT_FOUND = 4,
        VERDICT_CONFLICT = 5,
        VERDICT_UNREACHABLE = 6,
};

struct fault_info {
        const char *code;  /* "NAME_MISMATCH"; "" of FAULT_NONE, as all other texts */
        const char *class; /* "PACKAGE" */
        const char *whose; /* "OPERATOR" */
        int http_status;   /* 422; 0: it is never sent */
        enum verdict verdict;
        const char *meaning; /* without a full stop */
        const char *hint;    /* '@': the module's name */
};

/* Never NULL. */
const struct fault_info *fault_info(enum fault fault);
const char *fault_code(enum fault fault);
/* FAULT_NONE: the table has no such code. */
enum fault fault_find(const char *code);
/* Of an error_code of the bus; one that is not known counts as INTERNAL. */
enum fault fault_of_bus(int error);
/* Of -errno or errno from writing something: NO_SPACE, NO_MEMORY or NOT_WRITTEN. */
enum fault fault_of_write(int error);
/* The hint with the module's name ("" or NULL: not known) in it. */
void fault_hint(enum fault fault, const char *module, char *ret_text, size_t size);
