/* SPDX-License-Identifier: Apache-2.0
 *
 * Removing a data folder: because the manager asks for it, and of nothing that
 * runs.
 */
#pragma once

#include "ipc/control.h"

struct base;

/* Folders with such names are on their way out: what is left of them at a start goes then. No module is called so. */
#define PURGE_PREFIX "."

/* Answers a DATA_REMOVE with a FILE_RESULT, later when there is something to remove: -ENOENT there is none, -EBUSY an instance
 * of the module has it, -EAGAIN another one is being removed. */
void purge_on_request(struct base *base, const struct control_record *record);
