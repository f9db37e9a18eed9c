/* SPDX-License-Identifier: Apache-2.0
 *
 * What breaks an edge or a control link, as codes with a name and a text
 * (violation.def).
 */
#pragma once

#include <stdbool.h>

enum violation {
        VIOLATION_NONE,
#define X(name, code, whose, text) VIOLATION_##name = code,
#include "ipc/violation.def"
#undef X
};

/* Something that one end of an edge may say of the other. */
bool violation_is_peers(unsigned code);
const char *violation_name(unsigned code); /* "TAIL"; "?" of no code that there is */
const char *violation_text(unsigned code);
