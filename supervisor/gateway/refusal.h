/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request is refused before any module is asked, generated from
 * refusals.def. Functions that judge a request return 0 or one of these.
 */
#pragma once

enum refusal {
        _REFUSAL_NONE,
#define X(name, status, code, detail, section) REFUSAL_##name,
#include "supervisor/gateway/refusals.def"
#undef X
        REFUSAL_N
};

struct refusal_info {
        const char *name; /* "BARE_LF" */
        int status;
        const char *code, *detail, *section;
};

/* refusal must be one of the table. */
const struct refusal_info *refusal_info(enum refusal refusal);
