/* SPDX-License-Identifier: Apache-2.0
 *
 * Bells: pipes made by the one who rings. Their two ends are two open files, so
 * the sleeper cannot change the ringer's flags; nothing that either does makes
 * the other wait.
 */
#pragma once

#include <stdbool.h>

/* Is this, from a peer who may lie, the read end of a pipe? 0, -EPROTO when not, or another -errno. */
int bell_check(int read_fd);
/* Empties it without ever waiting, and says whether the ringer has hung up. 0, or -errno: its bells cannot be read, so
 * wakes would be lost. */
int bell_drain(int read_fd, bool *ret_hung_up);
/* Rings. 0; -EPIPE: nobody is there to hear it. */
int bell_write(int write_fd);
/* Has the other end been closed by everybody? */
bool bell_is_deaf(int write_fd);
