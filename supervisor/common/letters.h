/* SPDX-License-Identifier: Apache-2.0
 *
 * Control records that a link does not take at once: they wait here, in order,
 * with duplicates of their descriptors, so that the sender may close his. Nothing
 * that comes later overtakes what waits.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "ipc/control.h"

struct letter {
        TAILQ_ENTRY(letter) entry;
        enum control_kind kind;
        uint64_t request;
        uint32_t size, n_fds;
        int fds[CONTROL_FDS_MAX];
        uint8_t body[];
};

struct letters {
        TAILQ_HEAD(, letter) list;
        uint32_t n, max;
};

void letters_init(struct letters *letters, uint32_t max);
/* Drops all that waits. */
void letters_deinit(struct letters *letters);

/* Sends or keeps. 0: it was sent; CONTROL_E_AGAIN: it waits, until the link can be written to; CONTROL_E_CLOSED, or -errno
 * (-ENOBUFS: as many wait as may). */
int letters_send(struct letters *letters, int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size,
                 const int *fds, uint32_t n_fds);
/* Sends what waits. 0: all of it; CONTROL_E_AGAIN: not yet; or what the first one that is left failed with. */
int letters_flush(struct letters *letters, int link);
/* Drops the first one. */
void letters_drop(struct letters *letters);
