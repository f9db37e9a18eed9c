/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench-gateway measures, and what is told of it.
 */
#pragma once

#include "bench/gateway-servers.h"
#include "bench/samples.h"

#define ON(server) (1u << SERVER_##server)

/* X(group, connections, CPU of the server, CPU of the load, path, whom the others are compared with, servers, title): CPUs are 0, 1
 * or ANY of those that we may use. */
#define ANY -1
#define GATEWAY_GROUPS                                                                                                                     \
        X(CORE, CONNECTIONS, 0, 1, PATH_HELLO, RETURN, ON(RETURN) | ON(FCGI) | ON(UNIT) | ON(OURS) | ON(OURS_EPOLL) | ON(OURS_LOG),        \
          "32 kept connections, the server on one core, the load on another")                                                              \
        X(FREE, CONNECTIONS, ANY, ANY, PATH_HELLO, RETURN,                                                                                 \
          ON(RETURN) | ON(RETURN_AUTO) | ON(FCGI) | ON(UNIT) | ON(OURS) | ON(OURS_EPOLL) | ON(OURS_AUTO),                                  \
          "32 kept connections, nothing pinned")                                                                                           \
        X(SINGLE, 1, 0, 0, PATH_HELLO, RETURN, ON(RETURN) | ON(FCGI) | ON(UNIT) | ON(OURS) | ON(OURS_EPOLL) | ON(OURS_LOG),                \
          "one connection, server and load on one core")                                                                                   \
        X(SINGLE_FREE, 1, ANY, ANY, PATH_HELLO, RETURN, ON(RETURN) | ON(FCGI) | ON(UNIT) | ON(OURS) | ON(OURS_EPOLL) | ON(OURS_AUTO),      \
          "one connection, nothing pinned")                                                                                                \
        X(FILE_1K, CONNECTIONS, 0, 1, PATH_FILE_1K, FILES, ON(FILES) | ON(OURS) | ON(OURS_EPOLL),                                          \
          "a file of 1 KiB, 32 kept connections, the server on one core, the load on another")                                             \
        X(FILE_1M, CONNECTIONS, 0, 1, PATH_FILE_1M, FILES, ON(FILES) | ON(OURS) | ON(OURS_EPOLL), "a file of 1 MiB, the same")             \
        X(STREAM_1M, CONNECTIONS, 0, 1, PATH_STREAM, FCGI, ON(FCGI) | ON(OURS) | ON(OURS_EPOLL),                                           \
          "1 MiB in pieces of 64 KiB, chunked, the same")

enum gateway_group {
#define X(group, connections, server_cpu, load_cpu, path, floor, servers, title) GROUP_##group,
        GATEWAY_GROUPS
#undef X
                N_GROUPS
};

struct gateway_group_spec {
        unsigned connections;
        int server_cpu, load_cpu;
        const char *path;
        enum gateway_server floor;
        unsigned servers;
        const char *title;
};
extern const struct gateway_group_spec gateway_groups[];

struct gateway_line {
        struct samples rate, cpu_us, p50_us, p99_us; /* none: left out */
};

struct gateway_figures {
        unsigned rounds;
        struct gateway_line lines[N_GROUPS][N_SERVERS];
        struct gateway_line quiet, beside; /* a module with four connections; the same beside a saturated one */
        unsigned n_idle;
        double idle_bytes[N_SERVERS], idle_growth[N_SERVERS]; /* for each idle connection; 0 = left out */
};

void gateway_report(const struct gateway_figures *figures);
