/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths in packages. The same rules hold for packing, so that nothing is packed
 * that would not be unpacked.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/package-internal.h"

int package_refuse(struct package_report *report, int result, const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(report->message, sizeof(report->message), format, args);
        va_end(args);
        return result;
}

/* The length of one well-formed UTF-8 sequence (RFC 3629), 0 when it is none. Bytes behind the terminator are not touched. */
static size_t utf8_sequence(const unsigned char *s) {
        static const struct {
                unsigned char first, last, second_min, second_max, n;
        } table[] = {
                { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
                { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
                { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
        };

        for (size_t i = 0; i < N_ELEMENTS(table); i++) {
                if (s[0] < table[i].first || s[0] > table[i].last)
                        continue;
                if (table[i].n > 1 && (s[1] < table[i].second_min || s[1] > table[i].second_max))
                        return 0;
                for (size_t k = 2; k < table[i].n; k++)
                        if ((s[k] & 0xc0) != 0x80)
                                return 0;
                return table[i].n;
        }
        return 0;
}

static bool is_control(unsigned char c) {
        return c < 0x20 || c == 0x7f;
}

static const char *text_why_not(const char *text) {
        for (const unsigned char *s = (const unsigned char *)text; *s;) {
                size_t n = utf8_sequence(s);

                if (!n)
                        return "the name is not UTF-8";
                if (is_control(*s))
                        return "the name has a control character";
                s += n;
        }
        return NULL;
}

const char *package_path_show(const char *raw, char ret_text[128]) {
        const unsigned char *s = (const unsigned char *)raw;
        size_t used = 0;

        while (*s && used < 120) {
                size_t n = utf8_sequence(s);

                if (!n || is_control(*s)) {
                        ret_text[used++] = '?';
                        s++;
                        continue;
                }
                memcpy(ret_text + used, s, n);
                used += n;
                s += n;
        }
        strcpy(ret_text + used, *s ? "..." : "");
        return ret_text;
}

/* One component onto the path. NULL, or why not. */
static const char *append(char path[PACKAGE_PATH_MAX + 1], size_t *used, const char *name, size_t size) {
        if (size == 2 && !memcmp(name, "..", 2))
                return "expected a path without \"..\"";
        if (size > PACKAGE_NAME_MAX)
                return "expected names of at most 255 bytes";
        if (*used + !!*used + size > PACKAGE_PATH_MAX)
                return "expected a path of at most 1024 bytes";
        if (*used)
                path[(*used)++] = '/';
        memcpy(path + *used, name, size);
        *used += size;
        path[*used] = '\0';
        return NULL;
}

int package_path_normalise(const char *raw, char ret_path[PACKAGE_PATH_MAX + 1], const char **ret_why) {
        char path[PACKAGE_PATH_MAX + 1] = "";
        const char *why = text_why_not(raw);
        size_t used = 0, depth = 0;

        if (!why && raw[0] == '/')
                why = "expected a path relative to the package";
        for (const char *at = raw; !why && *at;) {
                size_t n = strcspn(at, "/");

                if (n && !(n == 1 && *at == '.')) {
                        why = append(path, &used, at, n);
                        if (!why && ++depth > PACKAGE_DEPTH_MAX)
                                why = "expected at most 32 folders, one in another";
                }
                at += n + (at[n] == '/');
        }
        if (why) {
                *ret_why = why;
                return PACKAGE_E_PATH;
        }
        memcpy(ret_path, path, used + 1);
        return 0;
}

void package_locale_enter(struct package_locale *ret_locale) {
        *ret_locale = (struct package_locale){ .utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) };
        if (ret_locale->utf8)
                ret_locale->before = uselocale(ret_locale->utf8);
}

void package_locale_leave(struct package_locale *locale) {
        if (!locale->utf8)
                return;
        uselocale(locale->before);
        freelocale(locale->utf8);
        locale->utf8 = (locale_t)0;
}
