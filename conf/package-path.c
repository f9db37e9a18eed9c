/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths in packages. The same rules hold for packing, so that nothing is packed
 * that would not be unpacked.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/package-internal.h"
#include "conf/utf8.h"

int package_refuse(struct package_report *report, int result, const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(report->message, sizeof(report->message), format, args);
        va_end(args);
        return result;
}

static const char *text_why_not(const char *text) {
        while (*text) {
                size_t n = utf8_span(text, strnlen(text, 4));

                if (!n)
                        return "the name is not UTF-8";
                if (utf8_is_control(text))
                        return "the name has a control character";
                text += n;
        }
        return NULL;
}

const char *package_path_show(const char *raw, char ret_text[128]) {
        size_t used = 0;

        while (*raw && used < 120) {
                size_t n = utf8_span(raw, strnlen(raw, 4));

                if (!n || utf8_is_control(raw)) {
                        ret_text[used++] = '?';
                        raw += MAX(n, (size_t)1);
                        continue;
                }
                memcpy(ret_text + used, raw, n);
                used += n;
                raw += n;
        }
        strcpy(ret_text + used, *raw ? "..." : "");
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
