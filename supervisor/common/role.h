/* SPDX-License-Identifier: Apache-2.0
 *
 * How every role begins: fork + exec by the base with the link on descriptor 3
 * and as root; it drops itself before it reads a byte of input.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "ipc/control.h"

#define ROLE_LINK_FD 3

/* What the base puts into the environment of a role: SOCLE_ROLE_UID, SOCLE_ROLE_GID (decimal; absent when rootless). */

/* Closes what is not the link and standard streams, ignores SIGPIPE, sets LC_NUMERIC=C and the process name, takes
 * uid and gid, no_new_privs, no capabilities, PDEATHSIG (after setresuid), checks that the parent lives. 0 or -errno,
 * with a line on stderr. `extra` descriptors >= 4 are kept. */
int role_begin(const char *name);

/* Receives HELLO and all HANDOVERs up to HANDOVER_DONE, waiting at most 10 s. The handed-over descriptors land in fds[]
 * by enum handover (with index for listeners and gateway links through the callback). 0 or -errno. */
struct role_handover {
        uint32_t what, index;
        uint64_t id;
        int fd; /* the receiver's */
};
int role_receive_setup(enum control_party self, struct control_hello *ret_hello, struct role_handover *handovers, uint32_t max,
                       uint32_t *ret_n);

/* Looks one up and takes its fd out (-1 when it is not there). */
int role_take(struct role_handover *handovers, uint32_t n, enum handover what, uint32_t index, uint64_t *ret_id);
