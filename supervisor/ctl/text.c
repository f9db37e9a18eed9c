/* SPDX-License-Identifier: Apache-2.0
 *
 * Clean text and short numbers.
 */
#include "supervisor/ctl/text.h"

#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "ipc/cleanup.h"

/* One character as it is shown. */
struct glyph {
        const char *bytes;
        size_t size, width;
};

void text_begin(void) {
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* Zero-width characters that change what a reader sees of the others. */
static bool is_deceptive(wchar_t c) {
        return c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
               (c >= 0xe0000 && c <= 0xe007f);
}

/* How many bytes of text, which is not empty, the glyph stands for. */
static size_t glyph_next(const char *text, struct glyph *ret_glyph) {
        mbstate_t state = { 0 };
        wchar_t c;
        size_t n = mbrtowc(&c, text, strnlen(text, MB_LEN_MAX), &state);
        int width = n == 0 || n > MB_LEN_MAX ? -1 : wcwidth(c);

        if (n == 0 || n > MB_LEN_MAX)
                n = 1;
        if (*text == '\n' || *text == '\t' || *text == '\r')
                *ret_glyph = (struct glyph){ " ", 1, 1 };
        else if (width < 0 || is_deceptive(c))
                *ret_glyph = (struct glyph){ "?", 1, 1 };
        else
                *ret_glyph = (struct glyph){ text, n, (size_t)width };
        return n;
}

char *text_clean(const char *text) {
        char *clean = malloc(strlen(text) + 1), *end = clean;
        struct glyph g;

        if (!clean)
                return NULL;
        while (*text) {
                text += glyph_next(text, &g);
                end = mempcpy(end, g.bytes, g.size);
        }
        *end = '\0';
        return clean;
}

size_t text_width(const char *text) {
        size_t width = 0;
        struct glyph g;

        while (*text) {
                text += glyph_next(text, &g);
                width += g.width;
        }
        return width;
}

void text_put(FILE *out, const char *text) {
        struct glyph g;

        while (*text) {
                text += glyph_next(text, &g);
                fwrite(g.bytes, 1, g.size, out);
        }
}

void text_put_line(FILE *out, ...) {
        const char *part;
        va_list list;

        va_start(list, out);
        while ((part = va_arg(list, const char *)))
                text_put(out, part);
        va_end(list);
        fputc('\n', out);
}

/* Numbers ------------------------------------------------------------------------------------------------------------- */

/* One decimal below 100, none from there on and none when it would be zero. */
static void format_scaled(struct short_text *t, double value, const char *unit) {
        bool decimal = value < 99.95 && (uint64_t)(value * 10 + 0.5) % 10;

        snprintf(t->text, sizeof(t->text), "%.*f%s", decimal ? 1 : 0, value, unit);
}

struct short_text text_size(uint64_t bytes) {
        static const char *const units[] = { "B", "K", "M", "G", "T", "P", "E" };
        double value = (double)bytes;
        struct short_text t;
        size_t i = 0;

        while (value >= 1023.5 && i + 1 < N_ELEMENTS(units)) {
                value /= 1024;
                i++;
        }
        format_scaled(&t, value, units[i]);
        return t;
}

struct short_text text_duration_us(uint64_t us) {
        unsigned long long s = us / 1000000;
        struct short_text t;

        if (us < 1000)
                snprintf(t.text, sizeof(t.text), "%uus", (unsigned)us);
        else if (us < 1000000)
                format_scaled(&t, us < 100000 ? (double)(us / 100) / 10 : (double)(us / 1000), "ms");
        else if (s < 60)
                snprintf(t.text, sizeof(t.text), "%llus", s);
        else if (s < 3600)
                snprintf(t.text, sizeof(t.text), "%llum%llus", s / 60, s % 60);
        else if (s < 86400)
                snprintf(t.text, sizeof(t.text), "%lluh%llum", s / 3600, s / 60 % 60);
        else
                snprintf(t.text, sizeof(t.text), "%llud%lluh", s / 86400, s / 3600 % 24);
        return t;
}

struct short_text text_ms(uint64_t ns) {
        unsigned long long us = (ns + 500) / 1000;
        struct short_text t;

        snprintf(t.text, sizeof(t.text), "%llu.%03llu ms", us / 1000, us % 1000);
        return t;
}

struct short_text text_number(int64_t number) {
        struct short_text t = { "-" };

        if (number >= 0)
                snprintf(t.text, sizeof(t.text), "%lld", (long long)number);
        return t;
}
