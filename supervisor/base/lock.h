/* SPDX-License-Identifier: Apache-2.0
 *
 * One base per root: a POSIX write lock on run/lock, which ends with the process
 * however it ends, is not inherited by its children, and names its holder.
 */
#pragma once

#include <sys/types.h>

enum {
        _LOCK_E_SUCCESS,
        LOCK_E_HELD,
};

/* Locks; the descriptor must stay open. 0, LOCK_E_HELD and the holder's pid, or -errno. */
int lock_take(int run_fd, int *ret_fd, pid_t *ret_holder);
