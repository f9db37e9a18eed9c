/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows.
 */
#include "ipc/host.h"

#include <stdio.h>

const struct host_info host_rows[N_HOST_ROWS] = {
#define LAYER(id, name, need, without, fix) [HOST_##id] = { HOST_LAYER, name, need, without, fix },
#define NEED(id, weight, name, need, without, fix) [HOST_##id] = { HOST_##weight, name, need, without, fix },
#include "ipc/host.def"
};

void host_names(uint32_t bits, char *ret_text, size_t size) {
        size_t n = 0;

        ret_text[0] = '\0';
        for (unsigned i = 0; i < N_HOST_ROWS && n < size; i++) {
                if (host_rows[i].weight == HOST_LAYER && bits & UINT32_C(1) << i)
                        n += (size_t)snprintf(ret_text + n, size - n, "%s%s", n ? ", " : "", host_rows[i].name);
        }
}
