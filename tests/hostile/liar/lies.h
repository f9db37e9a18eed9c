/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of lies.
 */
#pragma once

#include "liar.h"

struct lie {
        struct peer *peer;
        const struct frame *request; /* that it answers; of a caller: what he would ask */
        bool caller;
        uint32_t n;
};
struct lie_entry {
        const char *name;
        void (*tell)(const struct lie *lie);
};

/* Each ends with NULL. */
extern const struct lie_entry record_lies[]; /* headers, positions, messages */
extern const struct lie_entry speech_lies[]; /* whole messages: whom they answer, what they hold, how many */
extern const struct lie_entry stream_lies[];
extern const struct lie_entry bell_lies[];
