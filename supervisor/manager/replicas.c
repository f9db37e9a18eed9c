/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting instances. There are few of each version, so nothing is kept that
 * could be wrong.
 */
#include "supervisor/manager/replicas.h"

#include "ipc/cleanup.h"
#include "supervisor/manager/instance.h"

uint32_t replicas_wanted(const struct candidate *c) {
        return (uint32_t)MAX(c->manifest.scale_min, (uint64_t)1);
}

static bool is_staying(const struct instance *i) {
        return !i->retire && i->state != INSTANCE_KILLED && !i->unhealthy;
}

uint32_t replicas_staying(const struct candidate *c) {
        const struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH(i, &c->instances, entry)
        n += is_staying(i);
        return n;
}

uint32_t replicas_ready(const struct candidate *c) {
        const struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH(i, &c->instances, entry)
        n += is_staying(i) && i->state == INSTANCE_READY;
        return n;
}

bool replicas_complete(const struct candidate *c) {
        return replicas_ready(c) >= replicas_wanted(c);
}

struct instance *replicas_resting(const struct candidate *c) {
        struct instance *i;

        TAILQ_FOREACH(i, &c->instances, entry) {
                if (i->rests)
                        return i;
        }
        return NULL;
}

static bool is_unhealthy(const struct instance *i) {
        return i->unhealthy && !i->retire && i->state == INSTANCE_READY;
}

static uint32_t count_unhealthy(const struct candidate *c, struct instance **ret_oldest) {
        struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH_REVERSE(i, &c->instances, instance_list, entry) {
                if (!is_unhealthy(i))
                        continue;
                *ret_oldest = i;
                n++;
        }
        return n;
}

bool replicas_serve(const struct candidate *c) {
        struct instance *oldest;

        return replicas_ready(c) || count_unhealthy(c, &oldest);
}

bool replicas_retire_unhealthy(struct candidate *c, bool all) {
        struct instance *i;
        bool any = false;
        uint32_t n;

        while ((n = count_unhealthy(c, &i)) && (all || replicas_ready(c) + n > replicas_wanted(c))) {
                instance_retire(i);
                any = true;
        }
        return any;
}

/* Who does not serve yet goes before who does, the older before the newer. */
static bool is_dearer(const struct instance *a, const struct instance *b) {
        bool x = a->state == INSTANCE_READY, y = b->state == INSTANCE_READY;

        return x != y ? x : a->id > b->id;
}

void replicas_retire_surplus(struct candidate *c) {
        struct instance *i;

        while (replicas_staying(c) > replicas_wanted(c)) {
                struct instance *least = NULL;

                TAILQ_FOREACH(i, &c->instances, entry) {
                        if (is_staying(i) && (!least || is_dearer(least, i)))
                                least = i;
                }
                instance_retire(least);
        }
        while (replicas_staying(c) >= replicas_wanted(c) && (i = replicas_resting(c)))
                instance_retire(i);
}
