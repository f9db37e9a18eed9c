/* SPDX-License-Identifier: Apache-2.0
 *
 * What is run of a model: its scenarios, each of which must hold in all executions,
 * and its controls, each of which takes something away and must be caught.
 */
#pragma once

#include "tests/model/explore.h"

#define NO_CONTROL (-1)

struct suite {
        unsigned n_scenarios, n_controls;
        const char *const *names; /* of the two processes, for traces */
        void (*tell)(unsigned scenario, const char **ret_name, const char **ret_about);
        const char *(*what)(unsigned control);          /* what it takes away */
        void (*choose)(unsigned scenario, int control); /* what runs next */
        struct exploration model;                       /* but for what it finds */
        bool traces_controls;                           /* print how each was caught */
};

/* An exit status: 0 when all scenarios hold and all controls are caught. */
int suite_run(const struct suite *suite);
