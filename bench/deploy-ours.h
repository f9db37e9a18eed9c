/* SPDX-License-Identifier: Apache-2.0
 *
 * Our part of bench-deploy: a base on a private root, packages renamed into
 * its drop directory, and the journeys that it tells over its admin socket.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/http-poll.h"
#include "bench/samples.h"

#define JOURNEY_STEPS_MAX 12

/* One step of the journey: microseconds since the step before it, and since the file was noticed. */
struct journey_step {
        char name[32];
        struct samples since_last, since_noticed;
};
struct journey {
        struct journey_step steps[JOURNEY_STEPS_MAX];
        size_t n_steps;
        struct samples around; /* the rest of the client's time: the rename until it is noticed, routed until the client has its 200 */
};

struct ours {
        char root[256];
        pid_t pid;
        struct http_client gateway, admin;
};

/* Starts socled, which takes signed packages only or all, and waits until its gateway and its admin socket answer. 0, or -errno with nothing left. */
int ours_start(struct ours *ret_ours, const char *socled, const char *root, uint16_t port, unsigned gateways, bool signed_only);
void ours_stop(struct ours *ours);

struct ours_package {
        const char *path; /* the file, on the root's file system */
        const char *name, *version;
        const char *url, *token; /* a GET and what its answer has when this version serves */
};

/* Drops it: from before the rename until the first 200 of this version, in milliseconds. 0 or -errno. */
int ours_deploy(struct ours *ours, const struct ours_package *package, double *ret_ms);
/* Adds what the base tells of that to the journey. */
int ours_journey(struct ours *ours, const struct ours_package *package, double ms, struct journey *journey);
/* Removes the file; then waits until only `n_versions` versions of the name are known, each with at most one instance. */
int ours_remove(struct ours *ours, const struct ours_package *package, size_t n_versions);
