/* SPDX-License-Identifier: Apache-2.0
 *
 * What was done to the base, and when: versions that had been deployed when
 * `deploy` returned, and kills. One thread writes each list, the thread that
 * judges replies reads: an entry is whole before it counts.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_MAX 16384

enum target { TO_UP, TO_VIA, N_TARGETS };

enum victim { VICTIM_MANAGER, VICTIM_TEMPLATE, VICTIM_GATEWAY, VICTIM_NEW, N_VICTIMS };

struct timeline_list {
        _Atomic uint32_t n;
        struct {
                uint64_t ns;
                uint32_t what;
        } entries[TIMELINE_MAX];
};

struct timeline {
        _Atomic uint32_t begun[N_TARGETS];           /* the newest version whose deployment has begun */
        struct timeline_list returned[N_TARGETS];    /* versions; after `deploy` has returned */
        struct timeline_list killed;                 /* victims; before the signal */
        struct timeline_list sick_since, sick_until; /* versions that crash by themselves; the last may have no end yet */
};

void timeline_add(struct timeline_list *list, uint64_t ns, uint32_t what);

/* The version below which nothing may answer what was sent then. */
uint32_t timeline_floor(const struct timeline *t, enum target target, uint64_t sent_ns);
/* Was one of these killed meanwhile? */
bool timeline_was_killed(const struct timeline *t, enum victim victim, uint64_t from_ns, uint64_t to_ns);
/* Was a version there meanwhile that crashes by itself? */
bool timeline_was_sick(const struct timeline *t, uint64_t from_ns, uint64_t to_ns);
uint32_t timeline_count_kills(const struct timeline *t, enum victim victim);
