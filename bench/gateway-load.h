/* SPDX-License-Identifier: Apache-2.0
 *
 * What asks the servers of bench-gateway: wrk, and connections that only are
 * there.
 */
#pragma once

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

struct load {
        pid_t pid;
        int output;
};

struct load_result {
        double requests, seconds; /* how many were answered, in how long */
        double p50_us, p99_us;
};

/* Starts wrk with one thread on these CPUs. 0 or -errno. */
int load_start(struct load *ret_load, const char *wrk, uint16_t port, const char *path, unsigned connections, unsigned seconds,
               const cpu_set_t *cpus);
/* Waits until it is through. 0; -EPROTO when any request failed or was not answered with 200, which is said; -errno. */
int load_finish(struct load *load, struct load_result *ret_result);

/* Opens connections that have had one request answered each. 0 or -errno. */
int idle_open(int *fds, unsigned n, uint16_t port, const char *path);
/* How many of them the server has closed meanwhile; closes them. */
unsigned idle_close(int *fds, unsigned n);
