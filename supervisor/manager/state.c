/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of states.
 */
#include "supervisor/manager/state.h"

static const struct {
        const char *name, *meaning;
        unsigned badness;
} states[] = {
#define ROW(...)
#define STATE(name, badness, meaning) { #name, meaning, badness },
#include "supervisor/manager/state.def"
#undef STATE
#undef ROW
};

#define CANDIDATE_NEVER STATE_NEVER
#define STATE(...)
#define ROW(event, action, meaning, resolved, starting, active, standby, draining, stopped, broken, quarantined)                           \
        { #event,                                                                                                                          \
          meaning,                                                                                                                         \
          { CANDIDATE_##resolved, CANDIDATE_##starting, CANDIDATE_##active, CANDIDATE_##standby, CANDIDATE_##draining,                     \
            CANDIDATE_##stopped, CANDIDATE_##broken, CANDIDATE_##quarantined } },
static const struct {
        const char *name, *meaning;
        int8_t next[N_CANDIDATE_STATES];
} events[] = {
#include "supervisor/manager/state.def"
};
#undef ROW
#undef STATE

int state_next(enum candidate_state from, enum candidate_event event) {
        return events[event].next[from];
}

const char *state_name(enum candidate_state state) {
        return states[state].name;
}

const char *state_meaning(enum candidate_state state) {
        return states[state].meaning;
}

unsigned state_badness(enum candidate_state state) {
        return states[state].badness;
}

const char *state_event_name(enum candidate_event event) {
        return events[event].name;
}

const char *state_event_meaning(enum candidate_event event) {
        return events[event].meaning;
}
