/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in the folders that people write to, opened for who could not, and only
 * if they are what they should be.
 */
#pragma once

#include <stdbool.h>

#include "ipc/control.h"
#include "supervisor/base/folders.h"

/* Does what a FILE_* record asks. 0 or -errno for FILE_RESULT; *ret_fd when there is one. */
int files_serve(const struct folders *folders, enum control_kind kind, const struct control_file *file, int *ret_fd);

/* Pure: may a file of that folder be called so? */
bool files_name_ok(const char *name, bool drop);
