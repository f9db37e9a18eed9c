/* SPDX-License-Identifier: Apache-2.0
 *
 * The servers of bench-gateway, all on 127.0.0.1 and all asked for the same
 * bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/deploy-ours.h"
#include "bench/process-tree.h"

#define CONNECTIONS 32
#define IDLE_CONNECTIONS 10000

/* Six bytes; files; 1 MiB as it is made. */
#define PATH_HELLO "/hello"
#define PATH_FILE_1K "/hello/file/1k.bin"
#define PATH_FILE_1M "/hello/file/1m.bin"
#define PATH_STREAM "/hello/stream"

/* X(server, title) */
#define GATEWAY_SERVERS                                                                                                                    \
        X(RETURN, "nginx return 200")                                                                                                      \
        X(RETURN_AUTO, "nginx return 200, a worker per core")                                                                              \
        X(IDLE, "nginx return 200, for idle connections")                                                                                  \
        X(FILES, "nginx, sendfile on")                                                                                                     \
        X(FCGI, "nginx to FastCGI, kept UNIX sockets")                                                                                     \
        X(UNIT, "nginx Unit to a C application")                                                                                           \
        X(OURS, "ours, one gateway")                                                                                                       \
        X(OURS_EPOLL, "ours, one gateway, on epoll")                                                                                       \
        X(OURS_LOG, "ours, one gateway, access log")                                                                                       \
        X(OURS_AUTO, "ours, default gateways")

enum gateway_server {
#define X(server, title) SERVER_##server,
        GATEWAY_SERVERS
#undef X
                N_SERVERS
};
extern const char *const gateway_server_titles[];

struct server {
        uint16_t port; /* 0 = it is not there */
        pid_t pid;
        struct ours ours;        /* of the OURS ones */
        pid_t apps[CONNECTIONS]; /* FCGI: as many processes as there are connections, for one serves one kept connection */
};

struct gateway_programs {
        const char *socled, *nginx, *fcgi_app, *unitd, *unit_app; /* the peers' NULL: not installed */
        const char *folder; /* has roots with packages in them, one, epoll, log, auto; and the files in www */
};

/* Starts it and waits until /hello is answered as it should be; one whose program is missing is left out. 0 or -errno. */
int server_start(struct server *server, enum gateway_server which, const struct gateway_programs *programs);
void server_stop(struct server *server);
/* All its processes. */
void server_tree(const struct server *server, struct tree *ret_tree);
