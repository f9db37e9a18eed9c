/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of typed errors.
 */
#include "ipc/errors.h"

#include "ipc/cleanup.h"

static const struct error_info table[] = {
#define X(n, code, status, retry, who, text) [code] = { #n, status, retry, #who, text },
#include "ipc/errors.def"
#undef X
};

bool error_known(int code) {
        return code > 0 && code < (int)N_ELEMENTS(table) && table[code].name;
}

const struct error_info *error_info(int code) {
        return &table[error_known(code) ? code : ERROR_INTERNAL];
}
