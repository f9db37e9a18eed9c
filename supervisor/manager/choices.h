/* SPDX-License-Identifier: Apache-2.0
 *
 * What files cannot say: in which order versions were chosen, which did not
 * start, which were put there by `soclectl deploy`. One line a candidate:
 *
 *   NAME VERSION SHA256 CHOICE FLAGS        FLAGS: '-', or letters: f failed, a by the API
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "ipc/control.h"

struct manager;
struct candidate;

struct remembered {
        char name[CONTROL_NAME_SIZE], version[64], sha256[65];
        uint64_t choice;
        bool failed, by_api;
};

/* At start. Lines that make no sense are said and left out. */
int choices_load(struct manager *manager);
/* Soon: coalesced, after what is urgent. What was lost with a crash in between is in the files themselves: an unknown file counts
 * as the newest choice. */
void choices_save(struct manager *manager);
/* Now: what a job says that is given to the writer after this comes true after the choices are on the disk. */
void choices_flush(struct manager *manager);
/* NULL when it is not remembered. */
const struct remembered *choices_find(const struct manager *manager, const char *name, const char *version, const char *sha256);

/* Pure: one line. 0 or -EINVAL. */
int choices_parse_line(const char *line, struct remembered *ret);
