/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer without end: NDJSON from the base, cut into lines here.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

#include "supervisor/ctl/command.h"

/* Prints each line as it comes, with show() or as JSON, until the base or whoever reads us ends it. The exit status. */
int stream_follow(const struct command *command, const char *target, int (*show)(const json_t *line, FILE *out), FILE *out, FILE *err);
