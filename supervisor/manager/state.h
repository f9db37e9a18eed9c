/* SPDX-License-Identifier: Apache-2.0
 *
 * The states of a version and what leads from one to another: state.def as code.
 * Pure.
 */
#pragma once

#include <stdint.h>

#define ROW(...)
#define STATE(name, badness, meaning) CANDIDATE_##name,
enum candidate_state {
#include "supervisor/manager/state.def"
        N_CANDIDATE_STATES,
};
#undef STATE
#undef ROW

#define STATE(...)
#define ROW(event, ...) CANDIDATE_ON_##event,
enum candidate_event {
#include "supervisor/manager/state.def"
        N_CANDIDATE_EVENTS,
};
#undef ROW
#undef STATE

#define STATE_NEVER (-1)

/* An enum candidate_state, or STATE_NEVER. */
int state_next(enum candidate_state from, enum candidate_event event);

const char *state_name(enum candidate_state state);
const char *state_meaning(enum candidate_state state);
unsigned state_badness(enum candidate_state state);
const char *state_event_name(enum candidate_event event);
const char *state_event_meaning(enum candidate_event event);
