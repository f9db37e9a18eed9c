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

const struct error_info *error_info(int code) {
        size_t index = code > 0 ? (size_t)code : 0;

        return index < N_ELEMENTS(table) && table[index].name ? &table[index] : &table[ERROR_INTERNAL];
}
