/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of who may do what for people: docs/security.md and `soclectl
 * inspect` print the same.
 */
#pragma once

#include <stdio.h>

/* What the line says, with `mark` around names; neighbours of one reason are told together. The number of the next line. */
unsigned confine_text(unsigned line, const char *mark, FILE *out);
