/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions by the rules of semver 2.0.0, and ranges of them. Pure.
 */
#pragma once

#include <stdbool.h>

/* MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD] in semver's whole grammar, of any length. */
bool version_ok(const char *version);
/* By precedence: less than, equal to or greater than 0; +BUILD does not count. Both must be version_ok(). */
int version_compare(const char *a, const char *b);

/* "any", or comparisons that must all hold, separated by commas: ">= 0.1, < 2". The operators are >= > = < <=, none means =.
 * What is left out of a version is 0. */
bool version_range_ok(const char *range);
/* Is the version in the range? False for anything that is not well formed. */
bool version_in_range(const char *version, const char *range);
