/* SPDX-License-Identifier: Apache-2.0
 *
 * [deploy] strategy: what becomes of a version when another one was chosen.
 *
 *   replace       it is let go
 *   standby       the one that was chosen before stays, drained, with its workers ready: to go back to it forks nobody
 *   side-by-side  all that have a file run and may be called by their version; what names none goes to the chosen one
 *
 * What the chosen version's manifest says holds for all.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* It is not the chosen one and runs all the same. */
bool strategy_beside(const struct candidate *candidate);
/* It is not the chosen one and is kept ready. */
bool strategy_rests(const struct candidate *candidate);
