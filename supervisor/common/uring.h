/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring that can do what the gateway's loop does with it, and nothing else. What
 * goes through a ring no seccomp filter sees: so the ring is born disabled, is
 * told which operations there are, and only then enabled; there is no way back.
 */
#pragma once

#include <liburing.h>

/* Disabled still: what is registered must be registered now. 0 or -errno, and *ret_why says it for people. */
int uring_open(struct io_uring *ring, unsigned n_entries, unsigned n_completions, const char **ret_why);
/* From here on the operations of the table alone, and nothing is registered any more. 0 or -errno. */
int uring_enable(struct io_uring *ring, const char **ret_why);
/* Would it work? 0 or -errno. */
int uring_try(const char **ret_why);
