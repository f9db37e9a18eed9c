/* SPDX-License-Identifier: Apache-2.0
 *
 * Several listening sockets on one address, one for each gateway: whoever
 * connects is given to one of them by the kernel.
 */
#pragma once

#include <stdint.h>

/* Lets others be bound beside this socket from now on, as long as they want it, too. 0 or -errno. */
int reuseport_allow(int fd);

/* `fd` is one of n sockets that began to listen one after the other. New connections go, evenly, to those whose bit is set; to any
 * when all are, or none. What was given to a socket before stays there. 0 or -errno. */
int reuseport_steer(int fd, uint32_t n, uint64_t alive);
