/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP over the admin socket: one request, one response, one connection.
 */
#pragma once

#include <stdint.h>

#include "supervisor/ctl/response.h"

#define CLIENT_WAIT_MS 30000

struct request {
        const char *method, *target;
        int body_fd; /* -1: none */
        uint64_t body_size;
        const char *id; /* X-Request-Id: by which what it begins is found again; may be NULL */
        int wait_ms;    /* how long the base may be silent before it answers; -1: as long as it works */
        /* A stream: what comes is handed on (response.h), and the base may be silent between two pieces for ever. */
        int (*on_piece)(const char *piece, size_t size, void *userdata);
        void *userdata;
};

enum {
        CLIENT_E_CLOSED = 100, /* the base hung up before it had answered */
        CLIENT_E_BODY,         /* the file became shorter while it was sent */
};

/* The socket of a base: DIR/run/admin.sock, or the machine's own when root is NULL. malloc'ed, NULL: out of memory. */
char *client_socket(const char *root);

/* Connects to a path of any length. A descriptor or -errno (-EAGAIN: it does not accept in time). */
int client_connect(const char *path);

/* Sends the request and reads the response into an initialised struct. 0, CLIENT_E_*, RESPONSE_E_*, -ETIMEDOUT or -errno. */
int client_exchange(int fd, const struct request *request, struct response *response);
