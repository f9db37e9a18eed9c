/* SPDX-License-Identifier: Apache-2.0
 *
 * Looked through from the end: what is asked for is nearly always the last.
 */
#include "bench/upgrade/timeline.h"

#include <assert.h>

void timeline_add(struct timeline_list *list, uint64_t ns, uint32_t what) {
        uint32_t n = atomic_load_explicit(&list->n, memory_order_relaxed);

        assert(n < TIMELINE_MAX);
        list->entries[n].ns = ns;
        list->entries[n].what = what;
        atomic_store_explicit(&list->n, n + 1, memory_order_release);
}

static uint32_t count(const struct timeline_list *list) {
        return atomic_load_explicit(&list->n, memory_order_acquire);
}

uint32_t timeline_floor(const struct timeline *t, enum target target, uint64_t sent_ns) {
        const struct timeline_list *list = &t->returned[target];

        for (uint32_t n = count(list); n-- > 0;) {
                if (list->entries[n].ns < sent_ns)
                        return list->entries[n].what;
        }
        return 0;
}

bool timeline_was_killed(const struct timeline *t, enum victim victim, uint64_t from_ns, uint64_t to_ns) {
        const struct timeline_list *list = &t->killed;

        for (uint32_t n = count(list); n-- > 0 && list->entries[n].ns >= from_ns;) {
                if (list->entries[n].what == victim && list->entries[n].ns <= to_ns)
                        return true;
        }
        return false;
}

bool timeline_was_sick(const struct timeline *t, uint64_t from_ns, uint64_t to_ns) {
        uint32_t n_ended = count(&t->sick_until);

        for (uint32_t n = count(&t->sick_since); n-- > 0;) {
                uint64_t until = n < n_ended ? t->sick_until.entries[n].ns : UINT64_MAX;

                if (until < from_ns)
                        return false;
                if (t->sick_since.entries[n].ns <= to_ns)
                        return true;
        }
        return false;
}

uint32_t timeline_count_kills(const struct timeline *t, enum victim victim) {
        uint32_t n_kills = 0;

        for (uint32_t n = count(&t->killed); n-- > 0;)
                n_kills += t->killed.entries[n].what == victim;
        return n_kills;
}
