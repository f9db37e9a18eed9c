/* SPDX-License-Identifier: Apache-2.0
 *
 * The one way that a line takes: limit, cleaning, memory, journal or file,
 * followers. The limit comes first, so that a module that writes for ever costs
 * little more than the reading. The manager never waits: a journal that does not
 * keep up loses lines, a full disk loses lines, a slow follower loses lines, and
 * each is told how many.
 */
#include "supervisor/manager/log-hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/log-follow.h"
#include "supervisor/manager/log-journal.h"

#define TAIL_MAX (256u << 10) /* bytes in memory of a module's lines */
#define GONE_MAX 32           /* logs of modules that are gone, kept in memory */
#define UNWRITTEN_PERIOD_NS (10 * NS_PER_S)

/* The hub ------------------------------------------------------------------------------------------------------------ */

static bool wants_journal(const struct manager *m) {
        bool there = journal_is_there(JOURNAL_SOCKET);

        if (m->config.log_to == BASE_LOG_TO_JOURNAL && !there)
                log_warning("[log] to = journal: there is none at %s; lines of modules go to files", JOURNAL_SOCKET);
        return there && (m->config.log_to == BASE_LOG_TO_JOURNAL || (m->config.log_to == BASE_LOG_TO_AUTO && !m->hello.private_root));
}

int log_hub_new(struct log_hub **ret_hub, struct manager *m) {
        struct log_hub *hub = calloc(1, sizeof(*hub));
        int r;

        if (!hub)
                return -ENOMEM;
        hub->manager = m;
        TAILQ_INIT(&hub->logs);
        TAILQ_INIT(&hub->followers);
        hub->to_journal = wants_journal(m);
        hub->journal = hub->to_journal ? journal_open() : -1;
        r = log_cursors_open(&hub->cursors, m->state, "log-cursors", m->hello.start_ns ^ (uint64_t)m->hello.base_pid);
        if (r < 0)
                log_warning("log-cursors: %s: after a restart of the manager some log lines will be told twice", strerror(-r));
        *ret_hub = hub;
        return 0;
}

void log_hub_reopen(struct log_hub *hub) {
        struct module_log *log;

        log_hub_flush(hub);
        TAILQ_FOREACH(log, &hub->logs, entry)
        log_file_close(&log->file);
}

/* Logs --------------------------------------------------------------------------------------------------------------- */

struct module_log *log_hub_find(struct log_hub *hub, const char *name) {
        struct module_log *log;

        TAILQ_FOREACH(log, &hub->logs, entry) {
                if (!strcmp(log->name, name))
                        return log;
        }
        return NULL;
}

static void module_log_free(struct module_log *log) {
        TAILQ_REMOVE(&log->hub->logs, log, entry);
        log_tail_deinit(&log->tail);
        log_file_close(&log->file);
        free(log);
}

/* What a former life has written; the journal is not ours to read. */
static void module_log_recall(struct module_log *log) {
        _cleanup_free_ char *text = log->hub->to_journal ? NULL : log_file_end(log->hub->manager->log, log->name, TAIL_MAX / 2);
        char *rest = text, *one;

        while ((one = strsep(&rest, "\n"))) {
                struct log_line line;

                if (log_line_parse(one, &line) < 0)
                        continue;
                line.module = log->name;
                log_tail_add(&log->tail, &line);
        }
}

static struct module_log *module_log_new(struct log_hub *hub, const char *name) {
        const struct base_config *config = &hub->manager->config;
        struct module_log *log = calloc(1, sizeof(*log));

        if (!log)
                return NULL;
        log->hub = hub;
        snprintf(log->name, sizeof(log->name), "%s", name);
        log_tail_init(&log->tail, TAIL_MAX);
        log_file_init(&log->file, hub->manager->log, name, config->log_file_size, (unsigned)config->log_keep);
        TAILQ_INSERT_TAIL(&hub->logs, log, entry);
        module_log_recall(log);
        return log;
}

struct module_log *log_hub_join(struct log_hub *hub, const char *name, uint64_t rate, uint64_t burst) {
        struct module_log *log = log_hub_find(hub, name);

        if (!log)
                log = module_log_new(hub, name);
        if (!log)
                return NULL;
        log_bucket_set(&log->bucket, rate, burst);
        log->n_sources++;
        return log;
}

static void forget_gone(struct log_hub *hub) {
        struct module_log *log, *oldest = NULL;
        uint32_t n = 0;

        TAILQ_FOREACH(log, &hub->logs, entry) {
                if (log->n_sources)
                        continue;
                n++;
                oldest = oldest ? oldest : log;
        }
        if (n > GONE_MAX)
                module_log_free(oldest);
}

void log_hub_leave(struct module_log *log) {
        struct log_hub *hub = log->hub;

        if (--log->n_sources)
                return;
        log_hub_flush(hub);
        log_file_close(&log->file);
        /* In the order of their ends. */
        TAILQ_REMOVE(&hub->logs, log, entry);
        TAILQ_INSERT_TAIL(&hub->logs, log, entry);
        forget_gone(hub);
}

/* Where lines go ----------------------------------------------------------------------------------------------------- */

/* Said now and then, not with each line: what is written of it may go to the same full disk. */
static void on_written(struct module_log *log, uint64_t n_lines, int error) {
        const char *where = log->hub->to_journal ? "the journal" : log->file.name;
        uint64_t now = clock_now_ns();
        bool due = !log->unwritten_told_ns || now - log->unwritten_told_ns > UNWRITTEN_PERIOD_NS;

        if (error < 0)
                log->n_unwritten += n_lines;
        if (!log->n_unwritten || !due)
                return;
        log->unwritten_told_ns = now;
        if (error < 0) {
                log_warning("%s: %s: log lines of %s are lost", where, strerror(-error), log->name);
                return;
        }
        log_notice("%s is written again: %llu log lines of %s are missing in it", where, (unsigned long long)log->n_unwritten, log->name);
        log->n_unwritten = 0;
}

static uint64_t count_lines(const char *text, size_t size) {
        uint64_t n = 0;

        for (size_t i = 0; i < size; i++)
                n += text[i] == '\n';
        return n;
}

void log_hub_flush(struct log_hub *hub) {
        struct module_log *log = hub->pending_of;

        hub->pending_of = NULL;
        if (!log || !log->n_pending)
                return;
        on_written(log, count_lines(hub->pending, log->n_pending), log_file_write(&log->file, hub->pending, log->n_pending));
        log->n_pending = 0;
}

static void write_to_file(struct module_log *log, const struct log_line *line) {
        struct log_hub *hub = log->hub;

        if (hub->pending_of != log || log->n_pending + LOG_LINE_MAX > sizeof(hub->pending))
                log_hub_flush(hub);
        hub->pending_of = log;
        log->n_pending += log_line_format(line, hub->pending + log->n_pending);
}

static void emit(struct module_log *log, const struct log_line *line) {
        struct log_hub *hub = log->hub;

        log_tail_add(&log->tail, line);
        if (hub->to_journal)
                on_written(log, 1, log_journal_write(hub->journal, JOURNAL_SOCKET, hub->manager->config.name, line));
        else
                write_to_file(log, line);
        log_follow_tell(hub, line);
}

/* Taking ------------------------------------------------------------------------------------------------------------- */

bool log_hub_take(struct module_log *log, struct log_line *line, const char *text, size_t size) {
        char clean[LOG_CLEAN_MAX];

        if (!log_bucket_take(&log->bucket, clock_now_ns())) {
                log->losses[LOG_LOSS_dropped]++;
                return false;
        }
        log_hub_tell_losses(log, line, false);
        line->module = log->name;
        line->text = clean;
        line->size = log_text_clean(text, MIN(size, (size_t)LOG_TEXT_MAX), clean);
        emit(log, line);
        return true;
}

void log_hub_say(struct module_log *log, const struct log_line *about, uint32_t level, const char *text) {
        struct log_line line = *about;
        char clean[LOG_CLEAN_MAX];
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        line.time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
        line.level = level;
        line.source = LOG_FROM_base;
        line.module = log->name;
        line.text = clean;
        line.size = log_text_clean(text, MIN(strlen(text), (size_t)LOG_TEXT_MAX), clean);
        emit(log, &line);
}

static void tell_loss(struct module_log *log, const struct log_line *about, enum log_loss loss) {
        static const char *const texts[] = {
#define X(name, text) text,
                LOG_LOSSES
#undef X
        };
        char text[160];

        snprintf(text, sizeof(text), "%llu %s", (unsigned long long)log->losses[loss], texts[loss]);
        log->losses[loss] = 0;
        log_hub_say(log, about, 4, text);
}

bool log_hub_tell_losses(struct module_log *log, struct log_line *about, bool at_once) {
        uint64_t now = clock_now_ns();
        bool any = false;

        for (int i = 0; i < LOG_N_LOSSES; i++)
                any |= log->losses[i] > 0;
        if (!any)
                return false;
        if (!at_once && now - log->told_ns < NS_PER_S)
                return true;
        log->told_ns = now;
        for (int i = 0; i < LOG_N_LOSSES; i++) {
                if (log->losses[i])
                        tell_loss(log, about, (enum log_loss)i);
        }
        return false;
}

/* The last lines ----------------------------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b) {
        const struct log_line *x = *(const struct log_line *const *)a, *y = *(const struct log_line *const *)b;

        return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

/* Counts when lines is NULL. */
static size_t gather(struct log_hub *hub, const char *name, uint32_t level, const struct log_line **lines) {
        struct module_log *log;
        struct log_kept *kept;
        size_t n = 0;

        TAILQ_FOREACH(log, &hub->logs, entry) {
                if (name && strcmp(log->name, name) != 0)
                        continue;
                TAILQ_FOREACH(kept, &log->tail.lines, entry) {
                        if (kept->line.level > level)
                                continue;
                        if (lines)
                                lines[n] = &kept->line;
                        n++;
                }
        }
        return n;
}

bool log_hub_knows(struct log_hub *hub, const char *name) {
        struct module_log *log = log_hub_find(hub, name);

        if (log)
                return true;
        /* A module of a former life: its file may be there. */
        log = module_log_new(hub, name);
        if (!log)
                return false;
        if (TAILQ_EMPTY(&log->tail.lines)) {
                module_log_free(log);
                return false;
        }
        forget_gone(hub);
        return true;
}

int log_hub_last(struct log_hub *hub, const char *name, size_t n, uint32_t level, void (*fn)(const struct log_line *line, void *userdata),
                 void *userdata) {
        _cleanup_free_ const struct log_line **lines = NULL;
        size_t n_lines;

        n_lines = gather(hub, name, level, NULL);
        lines = calloc(n_lines + 1, sizeof(const struct log_line *));
        if (!lines)
                return -ENOMEM;
        gather(hub, name, level, lines);
        if (!name)
                qsort(lines, n_lines, sizeof(const struct log_line *), compare_times);
        for (size_t i = n_lines > n ? n_lines - n : 0; i < n_lines; i++)
                fn(lines[i], userdata);
        return 0;
}
