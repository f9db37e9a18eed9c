/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what workers say. A worker never waits for the manager: its pipes are
 * non-blocking, its log ring is overwritten; what is lost is counted and told.
 *
 * Asleep, an instance's log is two pipes in the loop's set. A byte in one of them
 * wakes it: output, or the bell for the ring (libmodule/log.c). Awake, the pipes
 * are not in the set: a timer looks again, soon while there is more, after
 * PAUSE_NS when all was read, after FLOOD_PAUSE_NS when the module has no tokens
 * left; and only when a look finds nothing do the pipes go back into the set. So
 * a line costs a wake when all is quiet, and a thousand a second cost two hundred
 * at most. A module that writes for ever gets a bounded share of each turn, and
 * is looked at ten times a second: the rest is overwritten or never written, at
 * its own expense.
 *
 * Pipes are read before the ring, always: a worker does not ring while something
 * lies in its pipe, because the ring will be looked at after it.
 */
#include "supervisor/manager/module-log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "ipc/utf8.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/change-log.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/log-journal.h"

#define CHUNK (16u << 10)
#define PIPE_BYTES_PER_LOOK (64u << 10)
#define LINES_PER_LOOK 1024
#define PAUSE_NS (5 * NS_PER_MS)
#define FLOOD_PAUSE_NS (100 * NS_PER_MS)
#define TELL_PAUSE_NS NS_PER_S
#define MARK "..."

struct stream {
        struct instance_log *of;
        int fd; /* -1: ended */
        enum log_source source;
        uint32_t level; /* of a line that does not say */
        struct event *event;
        char line[LOG_TEXT_MAX];
        size_t n;
        bool continued; /* what is in `line` goes on a line that was cut */
};

struct instance_log {
        struct instance *instance;
        struct module_log *log;
        struct stream streams[2];
        struct event *timer;
        struct log_cursor *cursor, own; /* own: when there is no table */
        bool bell;                      /* rung, and the page was not there yet */
};

/* What a look has found. */
struct look {
        bool any, more, flood;
};

static uint64_t now_realtime_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static struct log_line line_of(const struct instance_log *il) {
        return (struct log_line){
                .instance = il->instance->id,
                .pid = il->instance->pid,
                .module = il->log->name,
                .version = il->instance->candidate->manifest.version,
        };
}

/* Pipes -------------------------------------------------------------------------------------------------------------- */

static void stream_say(struct stream *s, size_t size, struct look *look) {
        struct log_line line = line_of(s->of);
        size_t prefix;

        line.time_ns = now_realtime_ns();
        line.source = s->source;
        line.level = s->level;
        prefix = s->continued ? 0 : log_prefix(s->line, size, &line.level);
        if (!log_hub_take(s->of->log, &line, s->line + prefix, size - prefix))
                look->flood = true;
}

/* A line that is too long is told in pieces, with a mark where they belong together. */
static void stream_cut(struct stream *s, struct look *look) {
        size_t mark = strlen(MARK), n = utf8_cut(s->line, s->n, sizeof(s->line) - mark), rest = s->n - n;
        char tail[8];

        memcpy(tail, s->line + n, rest);
        memcpy(s->line + n, MARK, mark);
        stream_say(s, n + mark, look);
        memcpy(s->line, MARK, mark);
        memcpy(s->line + mark, tail, rest);
        s->n = mark + rest;
        s->continued = true;
}

static void stream_end_line(struct stream *s, struct look *look) {
        if (s->n && s->line[s->n - 1] == '\r')
                s->n--;
        stream_say(s, s->n, look);
        s->n = 0;
        s->continued = false;
}

static void stream_take(struct stream *s, const char *data, size_t size, struct look *look) {
        for (size_t i = 0; i < size; i++) {
                if (data[i] == '\0') {
                        s->of->bell = true;
                        continue;
                }
                if (data[i] == '\n') {
                        stream_end_line(s, look);
                        continue;
                }
                if (s->n == sizeof(s->line))
                        stream_cut(s, look);
                s->line[s->n++] = data[i];
        }
}

static void stream_close(struct stream *s) {
        if (s->event)
                event_free(s->event);
        s->event = NULL;
        s->fd = fd_close(s->fd);
}

static void stream_read(struct stream *s, struct look *look) {
        char data[CHUNK];
        size_t sum = 0;

        while (s->fd >= 0 && sum < PIPE_BYTES_PER_LOOK) {
                ssize_t n = read(s->fd, data, sizeof(data));

                if (n < 0)
                        return;
                look->any = true;
                if (n == 0) {
                        stream_close(s); /* nobody can write any more */
                        return;
                }
                stream_take(s, data, (size_t)n, look);
                sum += (size_t)n;
        }
        look->more |= s->fd >= 0;
}

/* The ring ----------------------------------------------------------------------------------------------------------- */

/* It may log before it has told us that its page is sealed. */
static void page_try(struct instance_log *il) {
        struct instance *i = il->instance;

        if (!i->page && i->page_fd >= 0 && il->bell && page_reader_new(&i->page, fd_dup(i->page_fd)) == 0)
                i->page_fd = fd_close(i->page_fd);
}

static void page_resume(struct instance_log *il) {
        if (il->cursor->sequence > page_reader_sequence(il->instance->page))
                page_reader_resume(il->instance->page, il->cursor->sequence);
}

static void count_lost_output(struct instance_log *il) {
        struct page_vitals v;

        page_read(il->instance->page, &v);
        if (v.output_lost <= il->cursor->output_lost)
                return;
        il->log->losses[LOG_LOSS_output] += v.output_lost - il->cursor->output_lost;
        il->cursor->output_lost = v.output_lost;
}

static void ring_read(struct instance_log *il, struct look *look) {
        struct page_log_line raw;
        uint64_t lost = 0;
        int n = 0;

        page_try(il);
        if (!il->instance->page)
                return;
        il->bell = false;
        page_resume(il);
        while (n < LINES_PER_LOOK && page_next_line(il->instance->page, &raw, &lost) == 1) {
                struct log_line line = line_of(il);

                n++;
                line.time_ns = raw.time_ns;
                line.level = raw.level;
                line.source = LOG_FROM_log;
                il->log->losses[LOG_LOSS_overrun] += lost;
                if (!log_hub_take(il->log, &line, raw.text, raw.size))
                        look->flood = true;
        }
        look->any |= n > 0;
        look->more |= n == LINES_PER_LOOK;
        il->cursor->sequence = page_reader_sequence(il->instance->page);
        count_lost_output(il);
}

/* Looking ------------------------------------------------------------------------------------------------------------ */

static struct look look_once(struct instance_log *il) {
        struct look look = { 0 };

        for (size_t n = 0; n < N_ELEMENTS(il->streams); n++)
                stream_read(&il->streams[n], &look);
        ring_read(il, &look);
        log_hub_flush(il->log->hub);
        return look;
}

static bool tell_losses(struct instance_log *il, bool at_once) {
        struct log_line about = line_of(il);
        bool left = log_hub_tell_losses(il->log, &about, at_once);

        log_hub_flush(il->log->hub);
        return left;
}

static void sleep_until(struct instance_log *il, uint64_t ns) {
        struct timeval tv = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_usec = (suseconds_t)(ns % NS_PER_S / NS_PER_US) };

        for (size_t n = 0; n < N_ELEMENTS(il->streams); n++) {
                if (il->streams[n].event)
                        event_del(il->streams[n].event);
        }
        evtimer_add(il->timer, &tv);
}

static void sleep_asleep(struct instance_log *il) {
        for (size_t n = 0; n < N_ELEMENTS(il->streams); n++) {
                if (il->streams[n].event)
                        event_add(il->streams[n].event, NULL);
        }
}

static void look_and_sleep(struct instance_log *il) {
        struct look look = look_once(il);

        if (look.flood)
                sleep_until(il, FLOOD_PAUSE_NS);
        else if (look.more)
                sleep_until(il, 0);
        else if (look.any)
                sleep_until(il, PAUSE_NS);
        else if (tell_losses(il, false))
                sleep_until(il, TELL_PAUSE_NS);
        else
                sleep_asleep(il);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        look_and_sleep(userdata);
}

static void on_pipe(evutil_socket_t fd, short what, void *userdata) {
        struct stream *s = userdata;

        look_and_sleep(s->of);
}

/* Instances ---------------------------------------------------------------------------------------------------------- */

int module_log_start(struct manager *m) {
        int r = log_hub_new(&m->logs, m);

        if (r >= 0 && m->logs->to_journal)
                change_log_begin(JOURNAL_SOCKET, m->config.name);
        return r;
}

void module_log_reopen(struct manager *m) {
        log_hub_reopen(m->logs);
}

static int stream_init(struct stream *s, struct instance_log *il, int fd, enum log_source source, uint32_t level) {
        *s = (struct stream){ .of = il, .fd = fd, .source = source, .level = level };
        s->event = event_new(il->log->hub->manager->loop, fd, EV_READ | EV_PERSIST, on_pipe, s);
        return s->event ? 0 : -ENOMEM;
}

int module_log_attach(struct instance *i, int out, int err) {
        struct manager *m = i->candidate->module->manager;
        _cleanup_close_ int own_out = out, own_err = err;
        struct instance_log *il = calloc(1, sizeof(*il));

        if (!il)
                return -ENOMEM;
        il->instance = i;
        il->streams[0].fd = il->streams[1].fd = -1;
        il->log = log_hub_join(m->logs, i->candidate->module->name, i->candidate->manifest.log_rate, i->candidate->manifest.log_burst);
        if (!il->log) {
                free(il);
                return -ENOMEM;
        }
        i->log = il;
        il->cursor = log_cursor_get(m->logs->cursors, i->id);
        if (!il->cursor)
                il->cursor = &il->own;
        il->timer = evtimer_new(m->loop, on_timer, il);
        if (!il->timer || stream_init(&il->streams[0], il, TAKE_FD(own_out), LOG_FROM_stdout, 6) < 0 ||
            stream_init(&il->streams[1], il, TAKE_FD(own_err), LOG_FROM_stderr, 4) < 0)
                return -ENOMEM;
        /* A former manager may have heard the bell and died. */
        sleep_until(il, 0);
        return 0;
}

void module_log_end(struct instance *i) {
        struct instance_log *il = i->log;
        struct look look = { .more = true };

        if (!il)
                return;
        /* What lies there is bounded; a process of its that outlived it is not read for ever. */
        for (int n = 0; n < 16 && look.more; n++)
                look = look_once(il);
        for (size_t n = 0; n < N_ELEMENTS(il->streams); n++) {
                if (il->streams[n].n)
                        stream_end_line(&il->streams[n], &look);
        }
        tell_losses(il, true);
}

void module_log_say(struct instance *i, uint32_t level, const char *format, ...) {
        struct log_line about;
        char text[1024];
        va_list args;

        if (!i->log)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        about = line_of(i->log);
        log_hub_say(i->log->log, &about, level, text);
        log_hub_flush(i->log->log->hub);
}

void module_log_detach(struct instance *i) {
        struct instance_log *il = i->log;

        if (!il)
                return;
        for (size_t n = 0; n < N_ELEMENTS(il->streams); n++)
                stream_close(&il->streams[n]);
        if (il->timer)
                event_free(il->timer);
        log_cursor_free(il->log->hub->cursors, i->id);
        log_hub_flush(il->log->hub);
        log_hub_leave(il->log);
        free(il);
        i->log = NULL;
}
