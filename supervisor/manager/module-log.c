/* SPDX-License-Identifier: Apache-2.0
 *
 * Collecting log lines. A worker never waits for the manager: its log ring is
 * overwritten, its pipe is non-blocking; what is lost is counted and said. The
 * rings are read once a second while anything runs, at deaths, and when
 * somebody asks.
 */
#include "supervisor/manager/module-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/boot-config.h"

#define LOG_FILE_MAX (8u << 20)
#define LOG_TAIL_BYTES (1u << 20)
#define LINE_MAX_SIZE 1024

static const char *const level_names[] = { "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug" };

static void log_open(struct module *mod) {
        char name[CONTROL_NAME_SIZE + 8];
        struct stat st;

        if (mod->log_fd >= 0)
                return;
        snprintf(name, sizeof(name), "%s.log", mod->name);
        mod->log_fd = openat(mod->manager->log, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (mod->log_fd >= 0 && fstat(mod->log_fd, &st) == 0)
                mod->log_size = (uint64_t)st.st_size;
}

static void log_rotate(struct module *mod) {
        char name[CONTROL_NAME_SIZE + 8], old[CONTROL_NAME_SIZE + 8];

        if (mod->log_size < LOG_FILE_MAX)
                return;
        snprintf(name, sizeof(name), "%s.log", mod->name);
        snprintf(old, sizeof(old), "%s.log.1", mod->name);
        if (renameat(mod->manager->log, name, mod->manager->log, old) < 0)
                log_warning("log/%s: %s", name, strerror(errno));
        mod->log_fd = fd_close(mod->log_fd);
        log_open(mod);
}

/* One line stays one line, and does nothing to a terminal. */
static void line_clean(char *line, size_t size) {
        for (size_t n = 0; n < size; n++) {
                if (((unsigned char)line[n] < 0x20 && line[n] != '\t') || line[n] == 0x7f)
                        line[n] = '?';
        }
}

static void write_line(struct instance *i, uint64_t time_ns, uint32_t level, const char *text, size_t size) {
        struct module *mod = i->candidate->module;
        time_t seconds = (time_t)(time_ns / NS_PER_S);
        char line[LINE_MAX_SIZE + 256], stamp[32];
        struct tm tm;
        int n;

        log_open(mod);
        if (mod->log_fd < 0 || !gmtime_r(&seconds, &tm))
                return;
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        n = snprintf(line, sizeof(line) - 1, "%s.%03uZ %s %s #%llu %.*s", stamp, (unsigned)(time_ns % NS_PER_S / NS_PER_MS),
                     level_names[MIN(level, 7u)], i->candidate->manifest.version, (unsigned long long)i->id,
                     (int)MIN(size, (size_t)LINE_MAX_SIZE), text);
        if (n <= 0)
                return;
        n = (int)MIN((size_t)n, sizeof(line) - 2);
        line_clean(line, (size_t)n);
        line[n++] = '\n';
        if (fd_write_all(mod->log_fd, line, (size_t)n) == 0)
                mod->log_size += (uint64_t)n;
        log_rotate(mod);
}

static uint64_t now_realtime_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void take_output(struct instance *i, const char *data, size_t size, uint64_t now) {
        for (size_t n = 0; n < size; n++) {
                if (data[n] != '\n' && i->n_partial < sizeof(i->partial)) {
                        i->partial[i->n_partial++] = data[n];
                        continue;
                }
                write_line(i, now, 6, i->partial, i->n_partial);
                i->n_partial = 0;
                if (data[n] != '\n')
                        i->partial[i->n_partial++] = data[n];
        }
}

void module_log_drain_pipe(struct instance *i) {
        char data[16384];
        uint64_t now = now_realtime_ns();
        ssize_t n;
        int turns;

        for (turns = 0; turns < 8; turns++) {
                n = read(i->log_pipe, data, sizeof(data));
                if (n == 0 && i->log_event)
                        event_del(i->log_event);
                if (n <= 0)
                        return;
                take_output(i, data, (size_t)n, now);
        }
}

void module_log_drain(struct instance *i, bool last) {
        struct page_log_line line;
        uint64_t lost = 0;
        char text[64];
        int n;

        if (i->log_pipe >= 0)
                module_log_drain_pipe(i);
        if (last && i->n_partial) {
                write_line(i, now_realtime_ns(), 6, i->partial, i->n_partial);
                i->n_partial = 0;
        }
        if (!i->page)
                return;
        for (n = 0; n < 4096 && page_next_line(i->page, &line, &lost) == 1; n++) {
                if (lost) {
                        snprintf(text, sizeof(text), "(%llu log lines were lost)", (unsigned long long)lost);
                        write_line(i, line.time_ns, 4, text, strlen(text));
                }
                write_line(i, line.time_ns, line.level, line.text, line.size);
        }
}

static void drain_all(struct manager *m) {
        struct candidate *c;
        struct instance *i;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(i, &c->instances, entry)
                        module_log_drain(i, false);
                }
        }
}

static void on_log_timer(evutil_socket_t fd, short what, void *userdata) {
        drain_all(userdata);
}

void module_log_reopen(struct manager *m) {
        struct module *mod;

        /* The next line opens it again, under its name. */
        TAILQ_FOREACH(mod, &m->modules, entry)
        mod->log_fd = fd_close(mod->log_fd);
}

int module_log_start(struct manager *m) {
        struct timeval second = { .tv_sec = 1 };

        m->log_timer = event_new(m->loop, -1, EV_PERSIST, on_log_timer, m);
        return m->log_timer && event_add(m->log_timer, &second) == 0 ? 0 : -ENOMEM;
}

static json_t *line_json(char *line) {
        char *time = strsep(&line, " "), *level = strsep(&line, " "), *version = strsep(&line, " "), *instance = strsep(&line, " ");
        json_t *text;

        if (!line || instance[0] != '#')
                return NULL;
        text = json_string(line);
        if (!text)
                text = json_string("(not UTF-8)");
        return json_pack("{s:s, s:s, s:s, s:I, s:o}", "time", time, "level", level, "version", version, "instance",
                         (json_int_t)strtoull(instance + 1, NULL, 10), "text", text);
}

/* The last bytes of a log file, from the begin of a line. */
static char *read_end(struct manager *m, const char *name) {
        _cleanup_close_ int fd = openat(m->log, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        struct stat st;
        uint64_t from;
        char *text;
        size_t size;

        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        size = MIN((size_t)st.st_size, (size_t)LOG_TAIL_BYTES);
        from = (uint64_t)st.st_size - size;
        text = malloc(size + 1);
        if (!text || fd_pread_all(fd, text, size, from) < 0) {
                free(text);
                return NULL;
        }
        text[size] = '\0';
        if (from) {
                char *first = strchr(text, '\n');

                if (first)
                        memmove(text, first + 1, strlen(first + 1) + 1);
        }
        return text;
}

json_t *module_log_tail(struct manager *m, const char *name, size_t n) {
        _cleanup_free_ char *text = NULL;
        json_t *lines = json_array();
        char file[CONTROL_NAME_SIZE + 8], *rest, *line;

        drain_all(m);
        snprintf(file, sizeof(file), "%s.log", name);
        text = read_end(m, file);
        rest = text;
        while (lines && rest && (line = strsep(&rest, "\n"))) {
                json_t *o = *line ? line_json(line) : NULL;

                if (o)
                        json_array_append_new(lines, o);
                if (json_array_size(lines) > n)
                        json_array_remove(lines, 0);
        }
        return lines;
}
