/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets: the gateways' and the admin socket. Bound here, because
 * ports below 1024 and root's folders need it; accepted from by others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"

struct listeners {
        uint32_t n, n_gateways;
        /* A socket for each gateway, or one for all: then it is the first one's, and the others' are -1. */
        int fds[CONTROL_LISTENERS_MAX][CONTROL_GATEWAYS_MAX];
};

void listeners_init(struct listeners *listeners);
void listeners_deinit(struct listeners *listeners);
/* Whether the last base of this root was killed: its gateways may still hold the addresses for a moment. */
bool listeners_left(int run_fd);
/* A line for each socket of a name: a unit with several ListenStream= passes them all under one. What there is no room for
 * listeners_open() tells as unused. */
void listeners_spread(struct control_boot_config *config);
/* Opens all of config->listeners; tells on stderr what failed. An address that is in use is waited for until then. 0 or -errno. */
int listeners_open(struct listeners *listeners, const struct control_boot_config *config, uint64_t until_ns);
/* What listeners_open() would come to at line `index`, which is not open yet: it is bound for a moment, but nobody can connect; a path,
 * beside it. `ours`: it is a path that is open, for others. 0 or -errno. */
int listener_probe(const struct control_boot_config *config, uint32_t index, bool ours);
/* What is wrong with a line, in words, with the place in the file. */
void listener_failed_text(const struct control_boot_config *config, uint32_t index, int error, struct control_text *ret_text);
/* The socket of line `index` for that gateway; it stays here, with all who wait in it, when the gateway dies. */
int listeners_of(const struct listeners *listeners, uint32_t index, uint32_t gateway, bool *ret_shared);
/* Who connects from now on is given to a gateway whose bit is set, if any is. */
void listeners_steer(const struct listeners *listeners, uint64_t alive);

/* run/admin.sock; a stale one is replaced (we hold the root's lock). The fd or -errno, told on stderr. */
int listeners_admin(int run_fd);
