/* SPDX-License-Identifier: Apache-2.0
 *
 * Weighted least requests in flight. Multiplied crosswise instead of divided.
 *
 * To wake a sleeper on another core takes many times as long as on one's own, so
 * of about equals a near one is taken. Equal is what is equal, while there is
 * little: to wait behind one request may take longer than any wake. Of many in
 * flight, an eighth more is still about the same.
 */
#include "ipc/load.h"

#define NEAR_SLACK 8

bool load_prefers(const struct load *a, const struct load *b) {
        uint64_t x = (uint64_t)a->in_flight * b->weight, y = (uint64_t)b->in_flight * a->weight;

        if (x != y)
                return x < y;
        return a->served * b->weight < b->served * a->weight;
}

void load_consider(struct load_choice *c, void *who, const struct load *load, bool near) {
        if (!c->best || load_prefers(load, c->best)) {
                c->best = load;
                c->who = who;
        }
        if (near && (!c->best_near || load_prefers(load, c->best_near))) {
                c->best_near = load;
                c->who_near = who;
        }
}

void *load_choose(const struct load_choice *c) {
        uint64_t most;

        if (!c->best_near)
                return c->who;
        most = (uint64_t)c->best->in_flight + c->best->in_flight / NEAR_SLACK;
        return (uint64_t)c->best_near->in_flight * c->best->weight <= most * c->best_near->weight ? c->who_near : c->who;
}
