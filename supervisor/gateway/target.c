/* SPDX-License-Identifier: Apache-2.0
 *
 * Request targets (RFC 9112 3.2).
 */
#include "supervisor/gateway/target.h"

#include <string.h>
#include <strings.h>

#include "supervisor/gateway/chars.h"

/* Host ------------------------------------------------------------------------------------------------------------------ */

static bool port_ok(const char *text, size_t size) {
        if (size > 5)
                return false;
        for (size_t i = 0; i < size; i++) {
                if (!char_is((uint8_t)text[i], CHAR_DIGIT))
                        return false;
        }
        return true;
}

/* Where the host ends and the port may begin; 0 when it is malformed. */
static size_t literal_size(const char *text, size_t size) {
        for (size_t i = 1; i < size; i++) {
                if (text[i] == ']')
                        return i > 1 ? i + 1 : 0;
                if (!char_is((uint8_t)text[i], CHAR_HOST) && text[i] != ':')
                        return 0;
        }
        return 0;
}

static size_t name_size(const char *text, size_t size) {
        size_t n = 0;

        while (n < size && char_is((uint8_t)text[n], CHAR_HOST))
                n++;
        return n;
}

/* "name[:port]" or "[address][:port]" (RFC 3986 3.2.2). False when malformed. */
static bool host_parse(struct http_text host, char ret_host[TARGET_HOST_MAX + 1]) {
        bool literal = host.size && host.text[0] == '[';
        size_t n = literal ? literal_size(host.text, host.size) : name_size(host.text, host.size);

        if ((literal && !n) || n > TARGET_HOST_MAX)
                return false;
        if (n < host.size && (host.text[n] != ':' || !n || !port_ok(host.text + n + 1, host.size - n - 1)))
                return false;
        if (n > 1 && host.text[n - 1] == '.')
                n--;
        for (size_t i = 0; i < n; i++)
                ret_host[i] = (char)char_lower((uint8_t)host.text[i]);
        ret_host[n] = '\0';
        return true;
}

/* Path ------------------------------------------------------------------------------------------------------------------ */

/* The path being written; it never ends in an unresolved "." or "..". */
struct writer {
        char *begin, *at;
};

/* A segment is over: "." and ".." at the end are resolved. `slash`: a '/' follows, else the path ends. */
static int segment_end(struct writer *w) {
        char *segment = w->at;

        while (segment[-1] != '/')
                segment--;
        if (w->at - segment == 1 && segment[0] == '.') {
                w->at = segment;
        } else if (w->at - segment == 2 && segment[0] == '.' && segment[1] == '.') {
                if (segment - w->begin < 2)
                        return REFUSAL_TARGET_ABOVE_ROOT;
                w->at = segment - 1;
                while (w->at[-1] != '/')
                        w->at--;
        }
        return 0;
}

static int put(struct writer *w, char c) {
        if (c == '/') {
                int r = segment_end(w);

                if (r)
                        return r;
                if (w->at[-1] == '/')
                        return 0;
        }
        *w->at++ = c;
        return 0;
}

static int unescape(const char *at, const char *end, char *ret) {
        if (end - at < 3 || !char_is((uint8_t)at[1], CHAR_HEX) || !char_is((uint8_t)at[2], CHAR_HEX))
                return REFUSAL_TARGET_ESCAPE;
        *ret = (char)(char_hex((uint8_t)at[1]) << 4 | char_hex((uint8_t)at[2]));
        return *ret ? 0 : REFUSAL_TARGET_NUL;
}

/* raw[0...size) begins with '/'. */
static int path_parse(const char *raw, size_t size, char *room, struct target *target) {
        const char *end = raw + size;
        struct writer w = { room, room };
        int r;

        *w.at++ = '/';
        for (const char *at = raw + 1; at < end; at++) {
                char c = *at;

                if (c == '%') {
                        r = unescape(at, end, &c);
                        if (r)
                                return r;
                        at += 2;
                }
                r = put(&w, c);
                if (r)
                        return r;
        }
        r = segment_end(&w);
        *w.at = '\0';
        target->path = room;
        target->path_size = (size_t)(w.at - room);
        return r;
}

static bool target_chars_ok(struct http_text t) {
        for (uint32_t i = 0; i < t.size; i++) {
                if (!char_is((uint8_t)t.text[i], CHAR_TARGET))
                        return false;
        }
        return t.size > 0;
}

/* Path and query of what is left of a target. */
static int rest_parse(struct http_text rest, char *room, struct target *target) {
        const char *question = rest.size ? memchr(rest.text, '?', rest.size) : NULL;
        size_t path_size = question ? (size_t)(question - rest.text) : rest.size;

        if (question)
                target->query = (struct http_text){ question + 1, rest.size - (uint32_t)path_size - 1 };
        else
                target->query = (struct http_text){ "", 0 };
        /* Absolute form without a path (RFC 9110 4.2.3). */
        return path_size ? path_parse(rest.text, path_size, room, target) : path_parse("/", 1, room, target);
}

/* Behind "http://" or "https://"; NULL when it is no absolute form. */
static const char *after_scheme(struct http_text t) {
        if (t.size > 7 && !strncasecmp(t.text, "http://", 7))
                return t.text + 7;
        if (t.size > 8 && !strncasecmp(t.text, "https://", 8))
                return t.text + 8;
        return NULL;
}

static int asterisk_parse(char *room, struct target *target) {
        target->asterisk = true;
        target->query = (struct http_text){ "", 0 };
        return path_parse("/", 1, room, target);
}

/* RFC 9112 3.2.2: the target's own authority counts, whatever Host says. */
static int absolute_parse(const char *at, struct http_text t, bool options, char *room, struct target *target) {
        const char *end = t.text + t.size, *stop = at;

        while (stop < end && *stop != '/' && *stop != '?')
                stop++;
        target->authority = (struct http_text){ at, (uint32_t)(stop - at) };
        if (stop == at || !host_parse(target->authority, target->host) || !target->host[0])
                return REFUSAL_TARGET_AUTHORITY;
        if (options && stop == end)
                return asterisk_parse(room, target); /* RFC 9110 4.2.3 */
        return rest_parse((struct http_text){ stop, (uint32_t)(end - stop) }, room, target);
}

int target_parse(struct http_text method, struct http_text t, struct http_text host, char *room, struct target *ret) {
        bool options = method.size == 7 && !memcmp(method.text, "OPTIONS", 7);
        const char *absolute;

        ret->asterisk = false;
        ret->authority = (struct http_text){ 0 };
        ret->host[0] = '\0';
        if (!target_chars_ok(t))
                return REFUSAL_TARGET;
        if (host.text && !host_parse(host, ret->host))
                return REFUSAL_HOST;
        if (t.text[0] == '/')
                return rest_parse(t, room, ret);
        absolute = after_scheme(t);
        if (absolute)
                return absolute_parse(absolute, t, options, room, ret);
        return options && t.size == 1 && t.text[0] == '*' ? asterisk_parse(room, ret) : REFUSAL_TARGET;
}
