/* SPDX-License-Identifier: Apache-2.0
 *
 * Weighted least requests in flight. Multiplied crosswise instead of divided.
 */
#include "ipc/load.h"

bool load_prefers(const struct load *a, const struct load *b) {
        uint64_t x = (uint64_t)a->in_flight * b->weight, y = (uint64_t)b->in_flight * a->weight;

        if (x != y)
                return x < y;
        return a->served * b->weight < b->served * a->weight;
}
