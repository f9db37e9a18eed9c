/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines in memory: one allocation each, the oldest go when there are too many
 * bytes.
 */
#include "supervisor/manager/log-tail.h"

#include <stdlib.h>
#include <string.h>

void log_tail_init(struct log_tail *tail, size_t max) {
        *tail = (struct log_tail){ .max = max };
        TAILQ_INIT(&tail->lines);
}

static void drop_oldest(struct log_tail *tail) {
        struct log_kept *oldest = TAILQ_FIRST(&tail->lines);

        TAILQ_REMOVE(&tail->lines, oldest, entry);
        tail->size -= oldest->cost;
        free(oldest);
}

void log_tail_deinit(struct log_tail *tail) {
        while (!TAILQ_EMPTY(&tail->lines))
                drop_oldest(tail);
}

void log_tail_add(struct log_tail *tail, const struct log_line *line) {
        size_t version = strlen(line->version) + 1, cost = sizeof(struct log_kept) + version + line->size + 1;
        struct log_kept *kept = malloc(cost);

        if (!kept)
                return;
        kept->cost = cost;
        kept->line = *line;
        kept->line.version = memcpy(kept->bytes, line->version, version);
        kept->line.text = memcpy(kept->bytes + version, line->text, line->size);
        kept->bytes[version + line->size] = '\0';
        TAILQ_INSERT_TAIL(&tail->lines, kept, entry);
        tail->size += cost;
        while (tail->size > tail->max && TAILQ_FIRST(&tail->lines) != kept)
                drop_oldest(tail);
}
