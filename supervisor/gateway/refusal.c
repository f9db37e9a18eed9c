/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of refusals.
 */
#include "supervisor/gateway/refusal.h"

#include <assert.h>
#include <stddef.h>

static const struct refusal_info table[] = {
#define X(name, status, code, detail, section) [REFUSAL_##name] = { #name, status, #code, detail, section },
#include "supervisor/gateway/refusals.def"
#undef X
};

const struct refusal_info *refusal_info(enum refusal refusal) {
        assert(refusal > _REFUSAL_NONE && refusal < REFUSAL_N);
        return &table[refusal];
}
