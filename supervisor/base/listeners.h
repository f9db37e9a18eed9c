/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets: the gateways' and the admin socket. Bound here, because
 * ports below 1024 and root's folders need it; accepted from by others.
 */
#pragma once

#include <stdbool.h>

#include "ipc/control.h"

/* Whether the last base of this root was killed: its gateways may still hold the addresses for a moment. */
bool listeners_left(int run_fd);

/* Opens all of config->listeners; tells on stderr what failed. An address that is in use is waited for until then. 0 or -errno. */
int listeners_open(const struct control_boot_config *config, uint64_t until_ns, int ret_fds[CONTROL_LISTENERS_MAX]);

/* run/admin.sock; a stale one is replaced (we hold the root's lock). The fd or -errno, told on stderr. */
int listeners_admin(int run_fd);
