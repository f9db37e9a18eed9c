/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of faults.
 */
#include "supervisor/common/fault.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"

static const struct fault_info table[N_FAULTS] = {
        [FAULT_NONE] = { "", "", "", 0, VERDICT_SUCCESS, "", "" },
#define X(code, class, whose, http, verdict, meaning, hint)                                                                                \
        [FAULT_##code] = { #code, #class, #whose, http, VERDICT_##verdict, meaning, hint },
#include "supervisor/common/fault.def"
#undef X
};

/* An error of the bus is the same thing here: a row is missing, or says something else, and this does not compile. */
enum { CALLER, OPERATOR, MODULE, HOST, BASE };
enum {
#define X(code, class, whose, http, verdict, meaning, hint) HTTP_OF_##code = http, WHOSE_##code = whose,
#include "supervisor/common/fault.def"
#undef X
};
#define X(name, code, status, retryable, whose, meaning)                                                                                   \
        static_assert(HTTP_OF_##name == status && (int)WHOSE_##name == (int)whose, #name " differs between fault.def and errors.def");
#include "ipc/errors.def"
#undef X

static const enum fault of_bus[] = {
#define X(name, code, status, retryable, whose, meaning) [code] = FAULT_##name,
#include "ipc/errors.def"
#undef X
};

const struct fault_info *fault_info(enum fault fault) {
        return &table[(unsigned)fault < N_FAULTS ? fault : FAULT_NONE];
}

const char *fault_code(enum fault fault) {
        return fault_info(fault)->code;
}

enum fault fault_find(const char *code) {
        for (int i = FAULT_NONE + 1; i < N_FAULTS; i++) {
                if (!strcmp(table[i].code, code))
                        return (enum fault)i;
        }
        return FAULT_NONE;
}

enum fault fault_of_bus(int error) {
        return error_known(error) ? of_bus[error] : FAULT_INTERNAL;
}

enum fault fault_of_write(int error) {
        switch (abs(error)) {
        case ENOSPC:
        case EDQUOT:
                return FAULT_NO_SPACE;
        case ENOMEM:
                return FAULT_NO_MEMORY;
        default:
                return FAULT_NOT_WRITTEN;
        }
}

void fault_hint(enum fault fault, const char *module, char *ret_text, size_t size) {
        const char *hint = fault_info(fault)->hint;
        size_t n = 0;

        ret_text[0] = '\0';
        while (*hint && n + 1 < size) {
                const char *at = strchrnul(hint, '@');

                n += (size_t)snprintf(ret_text + n, size - n, "%.*s%s", (int)(at - hint), hint,
                                      !*at                ? ""
                                      : module && *module ? module
                                                          : "NAME");
                hint = *at ? at + 1 : at;
        }
}
