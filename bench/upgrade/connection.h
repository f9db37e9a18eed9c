/* SPDX-License-Identifier: Apache-2.0
 *
 * One keep-alive connection to the gateway, without blocking: at most one
 * request is under way. Only what a reply with a Content-Length needs of HTTP/1.1.
 */
#pragma once

#include "bench/upgrade/judge.h"

#define CONNECTION_ROOM 8192

enum connection_state { CONNECTION_CLOSED, CONNECTION_OPENING, CONNECTION_IDLE, CONNECTION_BUSY };

struct connection {
        int fd;
        enum connection_state state;
        uint64_t since_ns; /* it is in this state */
        uint64_t connected_ns;
        struct request request;
        size_t size;
        char buffer[CONNECTION_ROOM + 1];
};

struct connection_reply {
        int status;
        const char *body; /* terminated */
        size_t size;
        bool closes;
};

/* Begins to connect to 127.0.0.1. 0 or -errno. */
int connection_open(struct connection *c, uint16_t port, uint64_t now_ns);
void connection_close(struct connection *c, uint64_t now_ns);
/* While it opens and is writable: 0, then it is idle, or -errno. */
int connection_opened(struct connection *c, uint64_t now_ns);
/* Sends what c->request says. 0 or -errno. */
int connection_send(struct connection *c, uint64_t now_ns);
/* Reads what is there. 1: *ret_reply is there, valid until the next call; 0: not yet; -errno, -ENODATA at its end. */
int connection_receive(struct connection *c, struct connection_reply *ret_reply);
