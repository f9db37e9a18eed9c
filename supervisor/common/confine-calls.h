/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls of a role: the lines CALL, CALL_IF, CALL_WITH and NEVER of confine.def
 * as filters of seccomp.
 */
#pragma once

#include "supervisor/common/confine.h"

enum {
        _CONFINE_CALLS_E_SUCCESS,
        CONFINE_CALLS_E_NONE, /* the kernel has no seccomp, or the role no such line */
};

/* Taken on for good, and by every child. 0, CONFINE_CALLS_E_NONE or -errno. */
int confine_calls(enum confine_role role);
int confine_never(enum confine_role role);
