/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets: the gateways' and the admin socket. Bound here, because
 * ports below 1024 and root's folders need it; accepted from by others.
 */
#pragma once

#include "ipc/control.h"

/* Opens all of config->listeners; tells on stderr what failed. 0 or -errno. */
int listeners_open(const struct control_boot_config *config, int ret_fds[CONTROL_LISTENERS_MAX]);

/* run/admin.sock; a stale one is replaced (we hold the root's lock). The fd or -errno, told on stderr. */
int listeners_admin(int run_fd);
