/* SPDX-License-Identifier: Apache-2.0
 *
 * What modules write is foreign: it goes to terminals, to files that are read
 * line by line and into JSON, so nothing of it passes but through the cleaner.
 */
#include "supervisor/manager/log-line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/utf8.h"

static const char *const level_names[] = { "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug" };

static const char *const source_names[] = {
#define X(name) #name,
        LOG_SOURCES
#undef X
};

const char *log_level_name(uint32_t level) {
        return level_names[MIN(level, 7u)];
}

const char *log_source_name(enum log_source source) {
        return source_names[source];
}

static int name_find(const char *const *names, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++) {
                if (!strcmp(names[i], name))
                        return (int)i;
        }
        return -EINVAL;
}

int log_level_parse(const char *name, uint32_t *ret_level) {
        int r = name_find(level_names, N_ELEMENTS(level_names), name);

        if (r < 0)
                return r;
        *ret_level = (uint32_t)r;
        return 0;
}

/* Cleaning ----------------------------------------------------------------------------------------------------------- */

/* C1, line separators, and what hides or reorders the text around it. */
static bool is_deceptive(uint32_t c) {
        return (c >= 0x7f && c <= 0x9f) || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
               (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static size_t escape(const char *text, size_t size, char *clean) {
        static const char digits[] = "0123456789abcdef";
        char *end = clean;

        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)text[i];

                *end++ = '\\';
                if (c == '\n' || c == '\r') {
                        *end++ = c == '\n' ? 'n' : 'r';
                        continue;
                }
                *end++ = 'x';
                *end++ = digits[c >> 4];
                *end++ = digits[c & 15];
        }
        return (size_t)(end - clean);
}

size_t log_text_clean(const char *text, size_t size, char *clean) {
        char *end = clean;

        while (size) {
                uint32_t c = 0;
                size_t n = utf8_next(text, size, &c);

                if (n == 0)
                        end += escape(text, n = 1, end);
                else if (c && ((c < 0x20 && c != '\t') || is_deceptive(c)))
                        end += escape(text, n, end);
                else if (c)
                        end = mempcpy(end, text, n);
                text += n;
                size -= n;
        }
        return (size_t)(end - clean);
}

/* Alerts and emergencies are the machine's: journald has the latter appear on every terminal. */
#define LOG_LEVEL_MODULE_MOST 2u

size_t log_prefix(const char *text, size_t size, uint32_t *ret_level) {
        if (size < 3 || text[0] != '<' || text[1] < '0' || text[1] > '7' || text[2] != '>')
                return 0;
        *ret_level = MAX((uint32_t)(text[1] - '0'), LOG_LEVEL_MODULE_MOST);
        return 3;
}

/* Forms -------------------------------------------------------------------------------------------------------------- */

static void time_format(uint64_t time_ns, char text[static 32]) {
        time_t seconds = (time_t)(time_ns / NS_PER_S);
        struct tm tm = { 0 };
        size_t n;

        gmtime_r(&seconds, &tm);
        n = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, 32 - n, ".%03uZ", (unsigned)(time_ns % NS_PER_S / NS_PER_MS));
}

static int time_parse(const char *text, uint64_t *ret_time_ns) {
        struct tm tm = { 0 };
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
        char *rest;
        unsigned long ms;

        if (!end || *end != '.')
                return -EINVAL;
        ms = strtoul(end + 1, &rest, 10);
        if (rest != end + 4 || strcmp(rest, "Z") != 0)
                return -EINVAL;
        *ret_time_ns = (uint64_t)timegm(&tm) * NS_PER_S + ms * NS_PER_MS;
        return 0;
}

size_t log_line_format(const struct log_line *line, char text[static LOG_LINE_MAX]) {
        char time[32];
        size_t n, size = MIN(line->size, (size_t)LOG_CLEAN_MAX);

        time_format(line->time_ns, time);
        n = (size_t)snprintf(text, LOG_LINE_MAX - LOG_CLEAN_MAX - 1, "%s %s %.127s #%llu %s ", time, log_level_name(line->level),
                             line->version, (unsigned long long)line->instance, source_names[line->source]);
        memcpy(text + n, line->text, size);
        text[n + size] = '\n';
        return n + size + 1;
}

int log_line_parse(char *text, struct log_line *ret_line) {
        const char *time = strsep(&text, " "), *level = strsep(&text, " "), *version = strsep(&text, " "), *instance = strsep(&text, " "),
                   *source = strsep(&text, " ");
        struct log_line line = { .version = version, .text = text };
        int r;

        if (!text || instance[0] != '#' || time_parse(time, &line.time_ns) < 0 || log_level_parse(level, &line.level) < 0)
                return -EINVAL;
        r = name_find(source_names, LOG_N_SOURCES, source);
        if (r < 0)
                return r;
        line.source = (enum log_source)r;
        line.instance = strtoull(instance + 1, NULL, 10);
        line.size = strlen(text);
        *ret_line = line;
        return 0;
}

json_t *log_line_json(const struct log_line *line) {
        char time[32];

        time_format(line->time_ns, time);
        return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s%}", "time", time, "level", log_level_name(line->level), "module", line->module,
                         "version", line->version, "instance", (json_int_t)line->instance, "source", source_names[line->source], "text",
                         line->text, line->size);
}
