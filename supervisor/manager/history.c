/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories are kept as the lines of their file (state/manager/history): each entry
 * is one when it is made. The file as a whole is all lines that are in memory, so
 * what bounds these bounds it, too.
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
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-stream.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/line-file.h"

struct history_line {
        char *text; /* ends in a newline */
        size_t size;
};

struct history {
        TAILQ_ENTRY(history) entry; /* of those that are there, or of those that are gone */
        char name[CONTROL_NAME_SIZE];
        json_t *exit; /* for the next entry */
        size_t size;
        uint32_t n;
        struct history_line lines[HISTORY_MAX];
};

TAILQ_HEAD(history_list, history);
static struct history_list present = TAILQ_HEAD_INITIALIZER(present), past = TAILQ_HEAD_INITIALIZER(past); /* who has gone last is last */
static unsigned n_past;
static size_t all_size;
static bool full; /* of memory or of bytes: is said once */
static struct line_file *file;

/* Entries ------------------------------------------------------------------------------------------------------------ */

static void drop_oldest(struct history *h) {
        h->size -= h->lines[0].size;
        all_size -= h->lines[0].size;
        free(h->lines[0].text);
        memmove(h->lines, h->lines + 1, --h->n * sizeof(*h->lines));
}

static struct history *longest(void) {
        struct history *h, *found = NULL;

        TAILQ_FOREACH(h, &past, entry)
        if (!found || h->size > found->size)
                found = h;
        TAILQ_FOREACH(h, &present, entry)
        if (!found || h->size > found->size)
                found = h;
        return found;
}

static void trim(struct history *h) {
        while (h->n > 1 && h->size > HISTORY_SIZE)
                drop_oldest(h);
        if (all_size <= HISTORY_ALL_SIZE)
                return;
        if (!full)
                log_notice("the histories of all modules have reached %u MiB: from now on the longest one loses its oldest entry",
                           HISTORY_ALL_SIZE >> 20);
        full = true;
        while (all_size > HISTORY_ALL_SIZE)
                drop_oldest(longest());
}

/* Takes the text. NULL: there was no memory for it. */
static void add_line(struct history *h, char *text, size_t size) {
        if (!text)
                return;
        if (h->n == HISTORY_MAX)
                drop_oldest(h);
        h->lines[h->n++] = (struct history_line){ .text = text, .size = size };
        h->size += size;
        all_size += size;
        trim(h);
}

void history_add(struct history *h, const struct candidate *c, enum candidate_state to, enum fault fault, const char *reason) {
        const struct fault_info *info = fault_info(fault);
        struct timespec now;
        size_t size = 0;
        char *text;

        if (!h)
                return;
        clock_gettime(CLOCK_REALTIME, &now);
        text = admin_stream_line(json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o*}", "module", h->name, "time",
                                           json_time((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS), "version",
                                           json_text(c->manifest.version), "from", state_name(c->state), "to", state_name(to), "code",
                                           info->code, "class", info->class, "fault", info->whose, "reason", json_text(reason), "exit",
                                           TAKE_PTR(h->exit)),
                                 &size);
        /* Why something is given up is asked for after the power was gone, too. */
        if (text)
                line_file_append(file, text, size, to == CANDIDATE_QUARANTINED);
        add_line(h, text, size);
}

void history_note_exit(struct history *h, const struct control_exited *e, json_t *lines) {
        static const char *const oom[] = { [EXITED_OOM_LIMIT] = "limit", [EXITED_OOM_ABOVE] = "above" };
        const char *name = e->code == CLD_EXITED ? NULL : sigabbrev_np(e->status);
        char text[32];

        if (!h) {
                json_decref(lines);
                return;
        }
        snprintf(text, sizeof(text), "SIG%s", name ? name : "?");
        json_decref(h->exit);
        h->exit = json_pack("{s:I, s:i, s:o*, s:o*, s:b, s:s*, s:I, s:I, s:I, s:o*}", "instance", (json_int_t)e->instance, "pid", e->pid,
                            "status", e->code == CLD_EXITED ? json_integer(e->status) : NULL, "signal",
                            e->code == CLD_EXITED ? NULL : json_string(text), "killed_by_base", (int)e->killed, "oom",
                            e->oom < N_ELEMENTS(oom) ? oom[e->oom] : NULL, "peak_memory_bytes", (json_int_t)e->peak_memory, "throttled_us",
                            (json_int_t)e->throttled_us, "pids_refused", (json_int_t)e->n_pids_refused, "output", lines);
}

/* Modules come and go ------------------------------------------------------------------------------------------------ */

static void history_free(struct history *h) {
        while (h->n)
                drop_oldest(h);
        json_decref(h->exit);
        free(h);
}

static void forget_past(void) {
        while (n_past > HISTORY_PAST_MAX) {
                struct history *h = TAILQ_FIRST(&past);

                TAILQ_REMOVE(&past, h, entry);
                n_past--;
                history_free(h);
        }
}

static struct history *find_past(const char *name) {
        struct history *h;

        TAILQ_FOREACH(h, &past, entry) {
                if (!strcmp(h->name, name))
                        return h;
        }
        return NULL;
}

const struct history *history_find_past(const char *name) {
        return find_past(name);
}

static struct history *history_new(const char *name, struct history_list *list) {
        struct history *h = calloc(1, sizeof(*h));

        if (!h)
                return NULL;
        snprintf(h->name, sizeof(h->name), "%s", name);
        TAILQ_INSERT_TAIL(list, h, entry);
        return h;
}

struct history *history_get(const char *name) {
        struct history *h = find_past(name);

        if (!h)
                return history_new(name, &present);
        TAILQ_REMOVE(&past, h, entry);
        n_past--;
        TAILQ_INSERT_TAIL(&present, h, entry);
        return h;
}

void history_leave(struct history *h) {
        if (!h)
                return;
        TAILQ_REMOVE(&present, h, entry);
        if (!h->n) {
                history_free(h);
                return;
        }
        TAILQ_INSERT_TAIL(&past, h, entry);
        n_past++;
        forget_past();
}

/* The file ----------------------------------------------------------------------------------------------------------- */

bool history_take(const json_t *line) {
        const char *name = json_string_value(json_object_get(line, "module"));
        struct history *h;
        size_t size = 0;

        if (!name || !module_name_ok(name) || !json_is_string(json_object_get(line, "time")) ||
            !json_is_string(json_object_get(line, "to")))
                return false;
        h = find_past(name);
        if (!h) {
                h = history_new(name, &past);
                n_past += h != NULL;
        }
        if (h) {
                char *text = admin_stream_line(json_deep_copy(line), &size);

                add_line(h, text, size);
        }
        return true;
}

static bool take(const json_t *line, void *userdata) {
        return history_take(line);
}

static void format_list(FILE *f, const struct history_list *list) {
        const struct history *h;

        TAILQ_FOREACH(h, list, entry) {
                for (uint32_t i = 0; i < h->n; i++)
                        fwrite(h->lines[i].text, 1, h->lines[i].size, f);
        }
}

static void format(FILE *f, void *userdata) {
        format_list(f, &past);
        format_list(f, &present);
}

void history_start(struct manager *m) {
        file = line_file_new(m, "history", format, NULL);
        if (file)
                line_file_load(file, take);
}

void history_started(void) {
        forget_past();
}

json_t *history_json(const struct history *h) {
        json_t *list = json_array();

        for (uint32_t i = 0; h && i < h->n; i++) {
                json_t *entry = json_loadb(h->lines[i].text, h->lines[i].size, 0, NULL);

                json_object_del(entry, "module");
                json_array_append_new(list, entry);
        }
        return json_pack("{s:o}", "history", list);
}
