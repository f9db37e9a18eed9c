/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands do, one function for each entry of verbs.def.
 */
#pragma once

#include "supervisor/ctl/command.h"

#define X(name, arguments, min, max, help) int verb_##name(const struct command *command, FILE *out, FILE *err);
#include "supervisor/ctl/verbs.def"
#undef X
