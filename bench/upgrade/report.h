/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench-upgrade prints.
 */
#pragma once

#include "bench/upgrade/judge.h"
#include "bench/upgrade/load.h"
#include "bench/upgrade/deployer.h"

/* Prints all, and returns whether nothing was that may not be. `what`: who was killed, or "nobody". */
bool report(const char *what, const struct judge *judge, const struct load *load, const struct deployer *deployer, double seconds);
