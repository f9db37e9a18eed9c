/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories.
 */
#include "supervisor/manager/history.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/lifecycle.h"

struct history_entry {
        uint64_t time_ms; /* CLOCK_REALTIME */
        char version[64];
        enum candidate_state from, to;
        enum fault fault;
        char reason[512];
        json_t *exit; /* how the worker ended; NULL: it did not */
};

struct history {
        TAILQ_ENTRY(history) entry; /* of those that are gone */
        char name[CONTROL_NAME_SIZE];
        json_t *exit; /* for the next entry */
        uint32_t n;
        struct history_entry entries[HISTORY_MAX];
};

static TAILQ_HEAD(past, history) past = TAILQ_HEAD_INITIALIZER(past);
static unsigned n_past;

static void past_remove(struct history *h) {
        TAILQ_REMOVE(&past, h, entry);
        n_past--;
}

static void history_free(struct history *h) {
        for (uint32_t i = 0; i < h->n; i++)
                json_decref(h->entries[i].exit);
        json_decref(h->exit);
        free(h);
}

const struct history *history_find_past(const char *name) {
        struct history *h;

        TAILQ_FOREACH(h, &past, entry) {
                if (!strcmp(h->name, name))
                        return h;
        }
        return NULL;
}

struct history *history_get(const char *name) {
        struct history *h = (struct history *)history_find_past(name);

        if (h) {
                past_remove(h);
                return h;
        }
        h = calloc(1, sizeof(*h));
        if (h)
                snprintf(h->name, sizeof(h->name), "%s", name);
        return h;
}

void history_leave(struct history *h) {
        if (!h)
                return;
        if (!h->n) {
                history_free(h);
                return;
        }
        TAILQ_INSERT_TAIL(&past, h, entry);
        if (n_past++ < HISTORY_PAST_MAX)
                return;
        h = TAILQ_FIRST(&past);
        past_remove(h);
        history_free(h);
}

static struct history_entry *entry_new(struct history *h) {
        if (h->n == HISTORY_MAX) {
                json_decref(h->entries[0].exit);
                memmove(h->entries, h->entries + 1, --h->n * sizeof(*h->entries));
        }
        return &h->entries[h->n++];
}

void history_add(struct history *h, const struct candidate *c, enum candidate_state to, enum fault fault, const char *reason) {
        struct history_entry *e;
        struct timespec now;

        if (!h)
                return;
        e = entry_new(h);
        clock_gettime(CLOCK_REALTIME, &now);
        *e = (struct history_entry){ .time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS,
                                     .from = c->state,
                                     .to = to,
                                     .fault = fault,
                                     .exit = TAKE_PTR(h->exit) };
        snprintf(e->version, sizeof(e->version), "%s", c->manifest.version);
        snprintf(e->reason, sizeof(e->reason), "%s", reason);
}

void history_note_exit(struct history *h, const struct control_exited *e, json_t *lines) {
        const char *name = e->code == CLD_EXITED ? NULL : sigabbrev_np(e->status);
        char text[32];

        if (!h) {
                json_decref(lines);
                return;
        }
        snprintf(text, sizeof(text), "SIG%s", name ? name : "?");
        json_decref(h->exit);
        h->exit = json_pack("{s:I, s:i, s:o*, s:o*, s:b, s:I, s:o*}", "instance", (json_int_t)e->instance, "pid", e->pid, "status",
                            e->code == CLD_EXITED ? json_integer(e->status) : NULL, "signal",
                            e->code == CLD_EXITED ? NULL : json_string(text), "killed_by_base", (int)e->killed, "peak_memory_bytes",
                            (json_int_t)e->peak_memory, "output", lines);
}

json_t *history_json(const struct history *h) {
        json_t *list = json_array();

        for (uint32_t i = 0; h && i < h->n; i++) {
                const struct history_entry *e = &h->entries[i];
                const struct fault_info *info = fault_info(e->fault);

                json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:O*}", "time", json_time(e->time_ms),
                                                      "version", e->version, "from", state_name(e->from), "to", state_name(e->to), "code",
                                                      info->code, "class", info->class, "fault", info->whose, "reason",
                                                      json_text(e->reason), "exit", e->exit));
        }
        return json_pack("{s:o}", "history", list);
}
