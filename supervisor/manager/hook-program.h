/* SPDX-License-Identifier: Apache-2.0
 *
 * One program of hooks.d, from its birth until nothing of it is left.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf/text-list.h"

#define HOOK_OUTPUT_MAX (64u << 10) /* of what it prints, in one run, this much is logged */

enum hook_outcome {
        HOOK_E_FAILED = 1, /* status or signal: told */
        HOOK_E_TIMEOUT,    /* killed: told */
        HOOK_E_ORPHAN,     /* killed, because the link has ended: told */
};

struct hook_program {
        int folder;
        const char *name;  /* in it */
        char *const *env;  /* all that it gets */
        const char *input; /* standard input; at most HOOK_EVENT_MAX */
        size_t input_size;
        const char *what; /* the event, for people */
        uint64_t timeout_ms;
        int link; /* without it nobody wants the program any more */
};

/* The names of what is to be run, sorted; what would be but for its mode is told, once. 0 or -errno. */
int hook_programs_list(int folder, struct text_list *ret_names);
/* 0, enum hook_outcome, or -errno when it could not be started (told). */
int hook_program_run(const struct hook_program *program);
