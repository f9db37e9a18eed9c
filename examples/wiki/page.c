/* SPDX-License-Identifier: Apache-2.0
 *
 * See page.h.
 */
#include "page.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool page_name_ok(const char *name, size_t size) {
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)name[i];

                if (c >= 0x80 || !(isalnum(c) || (i && memchr("._-", c, 3))))
                        return false;
        }
        return size >= 1 && size <= 64;
}

void html_escape(FILE *f, const char *text, size_t size) {
        static const char *const entities[128] = { ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;" };

        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)text[i];

                if (c < 128 && entities[c])
                        fputs(entities[c], f);
                else
                        fputc(c, f);
        }
}

static bool write_part(FILE *f, const char *name, size_t size, const struct page_parts *parts) {
        if (size == 5 && !memcmp(name, "title", size))
                html_escape(f, parts->title, strlen(parts->title));
        else if (size == 7 && !memcmp(name, "actions", size))
                fputs(parts->actions, f);
        else if (size == 7 && !memcmp(name, "content", size))
                fputs(parts->content, f);
        else
                return false;
        return true;
}

void page_write(FILE *f, const char *frame, size_t size, const struct page_parts *parts) {
        const char *end = frame + size;

        while (frame < end) {
                const char *open = memmem(frame, (size_t)(end - frame), "{{", 2);
                const char *close = open ? memmem(open, (size_t)(end - open), "}}", 2) : NULL;

                if (!close)
                        break;
                fwrite(frame, 1, (size_t)(open - frame), f);
                frame = close + 2;
                if (!write_part(f, open + 2, (size_t)(close - open - 2), parts))
                        fwrite(open, 1, (size_t)(frame - open), f);
        }
        fwrite(frame, 1, (size_t)(end - frame), f);
}

/* Links ---------------------------------------------------------------------------------------------------------------- */

/* The name in [[name]] at text; its size, 0 when there is none. */
static size_t link_at(const char *text, size_t size) {
        const char *close;

        if (size < 5 || memcmp(text, "[[", 2) != 0)
                return 0;
        close = memmem(text + 2, size - 2 < 66 ? size - 2 : 66, "]]", 2);
        return close && page_name_ok(text + 2, (size_t)(close - text - 2)) ? (size_t)(close - text - 2) : 0;
}

static size_t ticks_at(const char *text, size_t size) {
        size_t n = 0;

        while (n < size && text[n] == '`')
                n++;
        return n;
}

/* Behind the code that as many back-ticks end as began it; right behind those when nothing ends it. */
static size_t code_size(const char *text, size_t size) {
        size_t n = ticks_at(text, size);

        for (size_t i = n; i < size;) {
                size_t m = ticks_at(text + i, size - i);

                if (m == n)
                        return i + m;
                i += m ? m : 1;
        }
        return n;
}

void page_write_links(FILE *f, const char *text, size_t size) {
        for (size_t i = 0; i < size;) {
                size_t n = text[i] == '[' ? link_at(text + i, size - i) : 0;

                if (n) {
                        fprintf(f, "[%.*s](/wiki/%.*s)", (int)n, text + i + 2, (int)n, text + i + 2);
                        i += n + 4;
                        continue;
                }
                n = text[i] == '`' ? code_size(text + i, size - i) : 1;
                fwrite(text + i, 1, n, f);
                i += n;
        }
}

/* Forms ---------------------------------------------------------------------------------------------------------------- */

static int hex(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t decode(const char *in, size_t size, char *out) {
        size_t n = 0;

        for (size_t i = 0; i < size; i++) {
                char c = in[i] == '+' ? ' ' : in[i];
                int high = c == '%' && i + 2 < size ? hex(in[i + 1]) : -1;
                int low = high >= 0 ? hex(in[i + 2]) : -1;

                if (low >= 0) {
                        c = (char)(high * 16 + low);
                        i += 2;
                }
                /* Browsers end lines with CR LF. */
                if (c == '\n' && n && out[n - 1] == '\r')
                        n--;
                out[n++] = c;
        }
        out[n] = '\0';
        return n;
}

int form_field(const char *form, size_t size, const char *name, char **ret_text, size_t *ret_size) {
        const char *end = form + size;
        size_t want = strlen(name), n;
        char *text;

        while (form < end) {
                const char *stop = memchr(form, '&', (size_t)(end - form)) ?: end;

                if ((size_t)(stop - form) > want && !memcmp(form, name, want) && form[want] == '=')
                        break;
                form = stop + 1;
        }
        if (form >= end)
                return -ENOENT;
        form += want + 1;
        n = (size_t)((const char *)(memchr(form, '&', (size_t)(end - form)) ?: end) - form);
        text = malloc(n + 1);
        if (!text)
                return -ENOMEM;
        n = decode(form, n, text);
        if (memchr(text, '\0', n)) {
                free(text);
                return -EINVAL;
        }
        *ret_text = text;
        *ret_size = n;
        return 0;
}

/* FNV-1a. */
unsigned long long text_revision(const char *text, size_t size) {
        unsigned long long hash = 0xcbf29ce484222325;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
        return hash;
}
