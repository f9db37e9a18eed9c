/* SPDX-License-Identifier: Apache-2.0
 *
 * The two protocols of systemd that a daemon speaks, without its library:
 * datagrams to NOTIFY_SOCKET, and inherited sockets from descriptor 3 on.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Pure: the address of NOTIFY_SOCKET ("/path" or "@abstract"). 0 or -EINVAL. */
int sd_notify_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_size);
/* Sends "READY=1\nSTATUS=..." and the like; nobody listening is no error. 0 or -errno. */
int sd_notify_send(const char *message);

/* Half of WATCHDOG_USEC in ns when it is meant for us; 0 = none. */
uint64_t sd_watchdog_interval_ns(void);

#define SD_LISTEN_FDS_START 3

/* How many sockets systemd has passed to us, from SD_LISTEN_FDS_START on; they are made close-on-exec. */
int sd_listen_fds(void);
/* The inherited socket of that LISTEN_FDNAMES name (the n-th of those, from 0). The fd or -ENOENT. */
int sd_listen_fd(const char *name, unsigned int nth);
/* Pure: which of the colon-separated names is the nth called `name`; -ENOENT. */
int sd_listen_index(const char *names, const char *name, unsigned int nth);
