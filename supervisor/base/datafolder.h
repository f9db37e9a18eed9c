/* SPDX-License-Identifier: Apache-2.0
 *
 * Data folders: one per module name, kept until somebody asks for it to go. All
 * versions and instances of the module have the same one.
 */
#pragma once

#include <sys/types.h>

/* Opens state/data/NAME; makes it, mode 0700 and owned by uid, when there is none. Its fd or -errno; -EPERM: what is there
 * belongs to somebody else. */
int data_open(int data_fd, const char *name, uid_t uid);
