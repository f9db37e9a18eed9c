/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the access log. Three ways to write a byte that must not stand there
 * as it is: \xHH as nginx has it in the combined form, \uHHHH in JSON (what is no
 * UTF-8 becomes U+FFFD there), \xHH in the journal, where UTF-8 stays. A field
 * that is too long is cut between characters and ends in "...".
 */
#include "supervisor/gateway/access-line.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/utf8.h"
#include "supervisor/gateway/digits.h"

static const char hex[] = "0123456789abcdef";

struct writer {
        char *at;
        enum control_access_format format;
};

static void put(struct writer *w, const char *text, size_t size) {
        w->at = mempcpy(w->at, text, size);
}

#define PUT(w, literal) put((w), (literal), sizeof(literal) - 1)

static void put_number(struct writer *w, uint64_t n) {
        char buffer[DIGITS_MAX];
        const char *at = digits_of(n, buffer);

        put(w, at, (size_t)(buffer + DIGITS_MAX - at));
}

/* As many digits as there are. */
static void put_padded(struct writer *w, unsigned n, unsigned n_digits) {
        for (unsigned i = n_digits; i--; n /= 10)
                w->at[i] = (char)('0' + n % 10);
        w->at += n_digits;
}

/* Escaping ----------------------------------------------------------------------------------------------------------------- */

static size_t hex_byte(char *to, unsigned char c) {
        memcpy(to, (const char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
        return 4;
}

static size_t hex_unit(char *to, uint32_t c) {
        memcpy(to, (const char[]){ '\\', 'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15] }, 6);
        return 6;
}

/* Characters that steer a terminal or change how the line reads: C1, and of those that order text those that hide what it says. */
static bool is_steering(uint32_t c) {
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static size_t json_char(char *to, const char *text, size_t size, size_t n, uint32_t c) {
        if (!n)
                return hex_unit(to, 0xfffd);
        if (c == '"' || c == '\\') {
                to[0] = '\\';
                to[1] = (char)c;
                return 2;
        }
        if (is_steering(c))
                return hex_unit(to, c);
        memcpy(to, text, n);
        return n;
}

static size_t journal_char(char *to, const char *text, size_t n, uint32_t c) {
        size_t size = 0;

        if (n && !is_steering(c) && c != '\\') {
                memcpy(to, text, n);
                return n;
        }
        for (size_t i = 0; i < MAX(n, (size_t)1); i++)
                size += hex_byte(to + size, (unsigned char)text[i]);
        return size;
}

/* One character, at most 16 bytes as it is written; *ret_n: how many of the text it were. */
static size_t escape(enum control_access_format format, char *to, const char *text, size_t size, size_t *ret_n) {
        unsigned char first = (unsigned char)*text;
        uint32_t c = 0;
        size_t n;

        if (format == ACCESS_COMBINED) {
                *ret_n = 1;
                if (first < 0x20 || first >= 0x7f || first == '"' || first == '\\')
                        return hex_byte(to, first);
                *to = (char)first;
                return 1;
        }
        n = utf8_next(text, size, &c);
        *ret_n = MAX(n, (size_t)1);
        return format == ACCESS_JSON ? json_char(to, text, size, n, c) : journal_char(to, text, n, c);
}

/* What stands as it is in every form. */
static bool is_plain(char c) {
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool is_all_plain(struct http_text t) {
        for (uint32_t i = 0; i < t.size; i++) {
                if (!is_plain(t.text[i]))
                        return false;
        }
        return true;
}

/* At most `max` bytes: of what is longer, as much as leaves room for the mark. */
static void put_text(struct writer *w, struct http_text t, size_t max) {
        char *begin = w->at, *cut = w->at, c[16];
        size_t n, size;

        if (!t.size)
                return; /* there may be no text at all */
        if (t.size <= max && is_all_plain(t)) {
                put(w, t.text, t.size);
                return;
        }
        for (uint32_t at = 0; at < t.size; at += (uint32_t)n) {
                size = escape(w->format, c, t.text + at, t.size - at, &n);
                if ((size_t)(w->at - begin) + size > max) {
                        w->at = cut;
                        PUT(w, "...");
                        return;
                }
                put(w, c, size);
                if ((size_t)(w->at - begin) + 3 <= max)
                        cut = w->at;
        }
}

/* Forms -------------------------------------------------------------------------------------------------------------------- */

static void put_or_dash(struct writer *w, struct http_text t, size_t max) {
        if (t.size)
                put_text(w, t, max);
        else
                PUT(w, "-");
}

/* "[28/Nov/2026:02:47:13 +0000]": always UTC. */
static void put_clf_time(struct writer *w, uint64_t ms) {
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)(ms / 1000);
        struct tm tm;

        gmtime_r(&t, &tm);
        PUT(w, "[");
        put_padded(w, (unsigned)tm.tm_mday, 2);
        PUT(w, "/");
        put(w, months + 3 * tm.tm_mon, 3);
        PUT(w, "/");
        put_padded(w, (unsigned)tm.tm_year + 1900, 4);
        PUT(w, ":");
        put_padded(w, (unsigned)tm.tm_hour, 2);
        PUT(w, ":");
        put_padded(w, (unsigned)tm.tm_min, 2);
        PUT(w, ":");
        put_padded(w, (unsigned)tm.tm_sec, 2);
        PUT(w, " +0000]");
}

/* "2026-11-28T02:47:13.123Z" */
static void put_iso_time(struct writer *w, uint64_t ms) {
        time_t t = (time_t)(ms / 1000);
        struct tm tm;

        gmtime_r(&t, &tm);
        put_padded(w, (unsigned)tm.tm_year + 1900, 4);
        PUT(w, "-");
        put_padded(w, (unsigned)tm.tm_mon + 1, 2);
        PUT(w, "-");
        put_padded(w, (unsigned)tm.tm_mday, 2);
        PUT(w, "T");
        put_padded(w, (unsigned)tm.tm_hour, 2);
        PUT(w, ":");
        put_padded(w, (unsigned)tm.tm_min, 2);
        PUT(w, ":");
        put_padded(w, (unsigned)tm.tm_sec, 2);
        PUT(w, ".");
        put_padded(w, (unsigned)(ms % 1000), 3);
        PUT(w, "Z");
}

static void put_request(struct writer *w, const struct access_line *l) {
        if (!l->method.size) {
                PUT(w, "-");
                return;
        }
        put_text(w, l->method, 64);
        PUT(w, " ");
        put_text(w, l->path, 2048);
        if (l->query.size) {
                PUT(w, "?");
                put_text(w, l->query, 1024);
        }
        PUT(w, " HTTP/1.");
        put_number(w, l->minor);
}

static void put_combined(struct writer *w, const struct access_line *l) {
        put_text(w, l->client, 64);
        PUT(w, " - - ");
        put_clf_time(w, l->time_ms);
        PUT(w, " \"");
        put_request(w, l);
        PUT(w, "\" ");
        put_number(w, l->status);
        PUT(w, " ");
        put_number(w, l->bytes_out);
        PUT(w, " \"");
        put_or_dash(w, l->referer, 1024);
        PUT(w, "\" \"");
        put_or_dash(w, l->user_agent, 512);
        PUT(w, "\"\n");
}

static void put_json(struct writer *w, const struct access_line *l) {
        PUT(w, "{\"time\":\"");
        put_iso_time(w, l->time_ms);
        PUT(w, "\"");
#define TEXT(name, journal, max)                                                                                                           \
        PUT(w, ",\"" #name "\":\"");                                                                                                       \
        put_text(w, l->name, max);                                                                                                         \
        PUT(w, "\"");
#define NUMBER(name, journal)                                                                                                              \
        PUT(w, ",\"" #name "\":");                                                                                                         \
        put_number(w, l->name);
#include "supervisor/common/access-fields.def"
        PUT(w, "}\n");
}

static void put_journal(struct writer *w, const struct access_line *l) {
        PUT(w, "MESSAGE=");
        put_text(w, l->client, 64);
        PUT(w, " \"");
        put_request(w, l);
        PUT(w, "\" ");
        put_number(w, l->status);
        PUT(w, "\n");
#define TEXT(name, journal, max)                                                                                                           \
        PUT(w, journal "=");                                                                                                               \
        put_text(w, l->name, max);                                                                                                         \
        PUT(w, "\n");
#define NUMBER(name, journal)                                                                                                              \
        PUT(w, journal "=");                                                                                                               \
        put_number(w, l->name);                                                                                                            \
        PUT(w, "\n");
#include "supervisor/common/access-fields.def"
        PUT(w, "\n");
}

size_t access_line_format(const struct access_line *line, enum control_access_format format, char text[static ACCESS_LINE_MAX]) {
        struct writer w = { .at = text, .format = format };

        if (format == ACCESS_JSON)
                put_json(&w, line);
        else if (format == ACCESS_JOURNAL)
                put_journal(&w, line);
        else
                put_combined(&w, line);
        return (size_t)(w.at - text);
}
