/* SPDX-License-Identifier: Apache-2.0
 *
 * What Socle has from its host: the table host.def as enums and rows.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum host_row {
#define LAYER(id, name, need, without, fix) HOST_##id,
#define NEED(id, weight, name, need, without, fix) HOST_##id,
#include "ipc/host.def"
        N_HOST_ROWS,
};

/* The layers that the host really gives, as bits: decided by who did it, shown by status. */
enum enforced {
#define LAYER(id, name, need, without, fix) ENFORCED_##id = 1 << HOST_##id,
#include "ipc/host.def"
        ENFORCED_ALL = 0
#define LAYER(id, name, need, without, fix) | 1 << HOST_##id
#include "ipc/host.def"
};

enum host_weight { HOST_LAYER, HOST_REQUIRED, HOST_ADVICE };

struct host_info {
        enum host_weight weight;
        const char *name, *need, *without, *fix;
};

/* In the order of the table: the layers first, row n is bit n. */
extern const struct host_info host_rows[N_HOST_ROWS];

/* The names of the layers whose bits are set, with commas between. */
void host_names(uint32_t bits, char *ret_text, size_t size);
