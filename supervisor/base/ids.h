/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers for instances, gateways and managers: short, rising, and never given
 * twice on one root.
 */
#pragma once

#include <stdint.h>

struct ids {
        int fd;             /* -1: closed */
        uint64_t next, end; /* end: the first one that is not ours yet */
};

/* Goes on where the last base of this root may have come to. 0 or -errno. */
int ids_open(struct ids *ids, int state_fd);
uint64_t ids_take(struct ids *ids);
void ids_close(struct ids *ids);
