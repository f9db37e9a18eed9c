/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that were running when a former manager ended. What came of each is
 * read from what is there now, as soon as that is settled; so whoever follows one
 * is always told an end.
 */
#pragma once

#include <stdbool.h>

struct manager;

/* After anything has changed. */
void interrupted_check(struct manager *manager);
/* Was this file being put into the drop directory by the admin API? */
bool interrupted_put(const struct manager *manager, const char *file);
