/* SPDX-License-Identifier: Apache-2.0
 *
 * Who upgrades: hands packages to the admin API, one after the other.
 */
#pragma once

#include "bench/http-poll.h"
#include "bench/samples.h"
#include "bench/upgrade/timeline.h"

struct deployer {
        struct http_client admin;
        const char *packages; /* the folder of NAME-1.0.N.smod */
        struct timeline *timeline;
        bool insists; /* an upgrade that fails is tried again: something is being killed */
        uint64_t n_again;
        struct samples took_ms;     /* that succeeded with the first try */
        struct samples gave_way_ms; /* sick ones: from the answer of `deploy` until the version before is there again */
};

const char *target_name(enum target target);

/* PUT /v1/packages, until it is answered. 0 when this version serves; -errno, or -EPROTO when it was refused or failed:
 * http_body(&d->admin) says why. */
int deployer_put(struct deployer *d, enum target target, uint32_t version);
/* A version of `up` that crashes on every tenth request, the n-th of its kind; until it has given way to the one that serves,
 * by itself. */
int deployer_put_sick(struct deployer *d, uint32_t n, uint32_t before);
