/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of [gateway] listen: an address and, behind it, what is said of the
 * socket: "unix:/run/web.sock mode=0660 group=www-data", "*:80 proxy-protocol".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define LISTEN_GROUP_SIZE 64
#define LISTEN_MODE 0666 /* of a UNIX socket: as open as a port of this machine */

struct listen {
        struct sockaddr_storage address;
        uint32_t address_size;         /* 0: fd:NAME */
        char text[128];                /* the address as it was written */
        bool proxy_protocol;           /* each connection begins with a PROXY header */
        uint32_t mode;                 /* UNIX socket: its file's */
        char group[LISTEN_GROUP_SIZE]; /* name or number; "" the base's own */
};

/* 0, or -EINVAL with a message. */
int listen_parse(const char *text, struct listen *ret_listen, char *error, size_t error_size);
