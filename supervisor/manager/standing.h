/* SPDX-License-Identifier: Apache-2.0
 *
 * How versions stand with the crash policy: who is quarantined or did not start and
 * why, crashes within their period, a back-off that is under way, probation. Each
 * change is a line of state/manager/standing for the next manager; a quarantine is
 * kept when the power goes, too.
 *
 * Times are those of the wall, for a boot may lie between; on the way back none is
 * longer than the manifest says, whatever was done to the clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "supervisor/manager/manager.h"

struct standing {
        char name[CONTROL_NAME_SIZE], version[64], sha256[SHA256_HEX_SIZE];
        uint64_t choice, conf;      /* when it is chosen again, or its operator says something else, this is over */
        enum candidate_state state; /* BROKEN, QUARANTINED, or RESOLVED: nothing to be said */
        enum fault fault;
        char reason[512];
        bool gives_way; /* quarantined on probation, and the version before is not chosen yet */
        uint64_t restarts, n_crashes;
        uint64_t first_crash_ms, restart_ms, probation_ms; /* CLOCK_REALTIME: when, when again, until when; 0: none */
};

void standing_start(struct manager *manager);
/* It has changed. */
void standing_note(const struct candidate *candidate);
/* What is known of it, when it is found as it was. True: also its state. */
bool standing_restore(struct candidate *candidate);
/* All is restored: who was giving way gives way now. */
void standing_restored(struct manager *manager);

/* Pure. False: the line makes no sense; there is nothing to be kept. */
bool standing_parse(const json_t *line, struct standing *ret);
json_t *standing_line(const struct standing *standing);
bool standing_of(const struct candidate *candidate, uint64_t wall_ms, uint64_t now_ns, struct standing *ret);
/* Puts what is still true into the candidate, but for its state; returns the back-off that is left, 0: none. */
uint64_t standing_apply(const struct standing *standing, struct candidate *candidate, uint64_t wall_ms, uint64_t now_ns);
