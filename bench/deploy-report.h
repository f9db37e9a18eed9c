/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench-deploy has measured, and how it is told: a table for people, then
 * one line of JSON for each row of the budgets.
 */
#pragma once

#include "bench/deploy-ours.h"
#include "bench/samples.h"

#define DEPLOY_ROWS                                                                                                                        \
        X(FORK, "floor: clone3 + dlopen")                                                                                                  \
        X(REPLY, "floor: drop to reply")                                                                                                   \
        X(UNPACK, "floor: the same, hashed and unpacked")                                                                                  \
        X(FRESH, "ours: a new name")                                                                                                       \
        X(UPGRADE, "ours: a new version of a name")                                                                                        \
        X(FCGI, "peer: nginx HUP + FastCGI application")                                                                                   \
        X(RELOAD, "peer: nginx -s reload, return 200")

enum deploy_row {
#define X(row, name) ROW_##row,
        DEPLOY_ROWS
#undef X
                N_ROWS
};
extern const char *const deploy_row_names[];

struct deploy_figures {
        struct samples rows[N_ROWS]; /* milliseconds; none = the row was left out */
        struct journey fresh, upgrade;
};

void deploy_report(const struct deploy_figures *figures);
