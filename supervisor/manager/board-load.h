/* SPDX-License-Identifier: Apache-2.0
 *
 * board.d/ into the board. What a file gives:
 *
 *   NAME.ini      NAME.SECTION.KEY, a string each
 *   NAME.json     NAME, the whole document, and NAME.KEY for each member of an object at its top
 *   NAME.msgpack  NAME, one item
 *   NAME (other endings are part of the name)  NAME, the bytes
 */
#pragma once

#include "supervisor/manager/manager.h"

/* At start, before the loop runs. Files that make no sense are said and left out. 0 or -errno. */
int board_load(struct manager *manager);
