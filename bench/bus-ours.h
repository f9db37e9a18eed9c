/* SPDX-License-Identifier: Apache-2.0
 *
 * Our part of bench-bus: two modules on a base, one calls the other. Everything
 * is as in use; only the cores are given from outside.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/deploy-ours.h"

struct bus_ours {
        struct ours ours;
        pid_t caller, callee, idle;
};

/* 0 or -errno, with nothing left. */
int bus_ours_start(struct bus_ours *ret_ours, const char *socled, const char *root, uint16_t port);
void bus_ours_stop(struct bus_ours *ours);

/* One run of calls, casts or large: ns of one operation, and the messages that went over the edge meanwhile. 0 or -errno. */
int bus_ours_run(struct bus_ours *ours, const char *what, bool apart, double *ret_ns, unsigned long *ret_messages);

/* The system calls of both workers while such a run goes on, for each message. -ENOENT: they cannot be counted here. */
int bus_ours_syscalls(struct bus_ours *ours, const char *what, bool apart, double *ret_per_message);

/* Context switches of a process since it began, voluntary or not. */
unsigned long bus_ours_switches(pid_t pid);
