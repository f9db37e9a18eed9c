/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin socket: HTTP/1.1 and JSON, see docs/admin-api.md.
 */
#pragma once

struct manager;

/* Serves on the listening socket, which is the callee's from now on. 0 or -errno. */
int admin_start(struct manager *manager, int listen_fd);
