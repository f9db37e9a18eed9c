/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an ini file over a struct by its table of keys.
 *
 * inih parses; but its own idea of a mistake is a line number at the end, and
 * some mistakes it takes for something else: it cuts a line that is too long in
 * two, ends the text at a NUL, takes an indented line for the continuation of
 * the one before, `:` for `=`, skips what stands behind a section's name, and
 * says nothing of a section without keys. So it is fed line by line by
 * line_next(), which refuses such lines and keeps the number for messages:
 * whatever the handler is called for stands in the line that was fed last.
 */
#include "conf/key-table.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/key-origins.h"
#include "conf/key.h"
#include "ipc/cleanup.h"

#define BLANKS " \t"
#define LINE_SIZE_MAX 4096
#define SHOWN_MAX 60 /* bytes of a value in a message */
#define FREE_KEYS_MAX 256
#define SECTION_SIZE 256

/* Debian's build has the limits as variables, others have them compiled in: then lines end at 197 bytes, and a longer one is
 * refused with that number. */
extern int ini_max_line __attribute__((weak));

struct key_file {
        const struct key_table *table;
        void *object;
        const char *name;
        const char *at, *end; /* what has not been read yet */
        unsigned refused, line, error_line;
        size_t n_free;
        char section[SECTION_SIZE];    /* that is being read; inih cuts it at 49 bytes */
        const struct key_group *group; /* that it is one of, or NULL */
        void *group_object;
        struct text_list seen; /* "section name" */
        int result;
        char *error;
        size_t error_size;
};

/* Messages ----------------------------------------------------------------------------------------------------------- */

/* A value of any length in a message of one line; not cut within a character. */
struct shown {
        char text[SHOWN_MAX + sizeof("...")];
};

static struct shown shown(const char *text) {
        size_t n = strlen(text), size = MIN(n, (size_t)SHOWN_MAX);
        struct shown s;

        while (size < n && size && ((unsigned char)text[size] & 0xc0) == 0x80)
                size--;
        snprintf(s.text, sizeof(s.text), "%.*s%s", (int)size, text, size < n ? "..." : "");
        return s;
}

_printf_(2, 3) static int fail(struct key_file *f, const char *format, ...) {
        int n = snprintf(f->error, f->error_size, "%s:%u: ", f->name, f->line);
        va_list args;

        f->result = -EINVAL;
        f->error_line = f->line;
        if (n >= 0 && (size_t)n < f->error_size) {
                va_start(args, format);
                vsnprintf(f->error + n, f->error_size - (size_t)n, format, args);
                va_end(args);
        }
        return -EINVAL;
}

static int fail_key(struct key_file *f, const char *section, const char *name, const char *value, const char *expected) {
        return fail(f, "[%s] %s = %s: expected %s", section, shown(name).text, shown(value).text, expected);
}

/* "a, b, c" */
static void names_add(char *text, size_t size, const char *name) {
        size_t used = strlen(text);

        if (used + 2 < size)
                snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
}

static int fail_section(struct key_file *f, const char *section) {
        char names[256] = "";

        for (size_t i = 0; i < f->table->n_keys; i++) {
                if (!i || strcmp(f->table->keys[i].section, f->table->keys[i - 1].section) != 0)
                        names_add(names, sizeof(names), f->table->keys[i].section);
        }
        for (size_t i = 0; i < f->table->n_sections; i++)
                names_add(names, sizeof(names), f->table->sections[i].name);
        if (f->table->group) {
                char name[80];

                snprintf(name, sizeof(name), "%s %s", f->table->group->name, f->table->group->argument);
                names_add(names, sizeof(names), name);
        }
        return fail(f, "[%s]: unknown section, expected one of %s", shown(section).text, names);
}

static int fail_unknown(struct key_file *f, const struct key_table *table, const char *section, const char *name, const char *value) {
        char names[300] = "one of ";

        for (size_t i = 0, n = 0; i < table->n_keys; i++) {
                if (strcmp(table->keys[i].section, section) != 0)
                        continue;
                snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", n++ ? ", " : "", table->keys[i].name);
        }
        return fail(f, "[%s] %s = %s: unknown key, expected %s", f->section, shown(name).text, shown(value).text, names);
}

/* Keys --------------------------------------------------------------------------------------------------------------- */

static const struct key_section *section_free(const struct key_table *table, const char *name) {
        for (size_t i = 0; i < table->n_sections; i++) {
                if (!strcmp(table->sections[i].name, name))
                        return &table->sections[i];
        }
        return NULL;
}

static bool section_known(const struct key_table *table, const char *name) {
        if (table->any)
                return true;
        for (size_t i = 0; i < table->n_keys; i++) {
                if (!strcmp(table->keys[i].section, name))
                        return true;
        }
        return section_free(table, name);
}

static int key_once(struct key_file *f, const char *section, const char *name, const char *value) {
        _cleanup_free_ char *both = NULL;

        if (asprintf(&both, "%s %s", section, name) < 0)
                return -ENOMEM;
        if (text_list_has(&f->seen, both))
                return fail_key(f, section, name, value, "each key only once in a file");
        return text_list_add(&f->seen, both, strlen(both));
}

static int origin_note(struct key_file *f, const char *name) {
        struct text_list *origins = (struct text_list *)((char *)f->object + f->table->origins);

        return f->table->origins ? key_origin_note(origins, f->section, name, f->name, f->line) : 0;
}

/* A key of the table, or one of a section whose keys are free. */
static int key_take(struct key_file *f, const char *name, const char *value, char *expected, size_t expected_size) {
        const struct key_table *table = f->group ? f->group->table : f->table;
        const char *section = f->group ? f->group->name : f->section;
        const struct key_section *free_keys = section_free(table, section);
        const struct key *key = key_table_find(table, section, name);
        int r;

        if (!key && !free_keys)
                return fail_unknown(f, table, section, name, value);
        if (key && key->flags & f->refused)
                return fail_key(f, section, name, value,
                                key->flags & KEY_OPERATOR ? "no such key here: the operator alone says it, in conf.d/NAME.ini"
                                                          : "no such key here: the package alone says it");
        if (free_keys && f->n_free++ >= FREE_KEYS_MAX)
                return fail(f, "[%s] %s: expected at most %d free keys in a file", section, shown(name).text, FREE_KEYS_MAX);
        r = key_once(f, f->section, name, value);
        if (r < 0)
                return r;
        r = key ? key_set(key, f->group ? f->group_object : f->object, value, expected, expected_size)
                : free_keys->set(f->object, name, value, expected, expected_size);
        return r == -EINVAL ? fail_key(f, f->section, name, value, expected) : r;
}

static int key_read(struct key_file *f, const char *name, const char *value) {
        char expected[300] = "";
        int r;

        if (f->table->any) {
                r = f->table->any(f->object, f->section, name, value, expected, sizeof(expected));
                if (r == -EINVAL)
                        return fail_key(f, f->section, name, value, expected);
        } else {
                if (!*f->section)
                        return fail(f, "%s = %s: expected a [section] before the first key", shown(name).text, shown(value).text);
                r = key_take(f, name, value, expected, sizeof(expected));
        }
        return r < 0 ? r : origin_note(f, name);
}

static int on_key(void *userdata, const char *section, const char *name, const char *value) {
        struct key_file *f = userdata;
        int r = key_read(f, name, value ? value : "");

        if (r < 0)
                f->result = r;
        return r >= 0;
}

/* Lines -------------------------------------------------------------------------------------------------------------- */

static int section_begin(struct key_file *f) {
        const struct key_group *group = f->table->group;
        size_t n = group ? strlen(group->name) : 0;
        char expected[300] = "";
        int r = 0;

        f->group = group && !strncmp(f->section, group->name, n) && f->section[n] == ' ' ? group : NULL;
        if (!f->group)
                return section_known(f->table, f->section) ? 0 : fail_section(f, f->section);
        r = group->open(f->object, f->section + n + 1, &f->group_object, expected, sizeof(expected));
        if (r == -EINVAL)
                return fail(f, "[%s]: expected %s", shown(f->section).text, expected);
        if (r < 0)
                f->result = r;
        return r;
}

/* "[name]" and nothing behind it but a comment; the line has no blanks before it. */
static int section_read(struct key_file *f, const char *line, size_t size) {
        const char *close = memchr(line, ']', size), *rest;
        int r;

        if (!close)
                return fail(f, "expected ] behind the section's name");
        if ((size_t)(close - line) > SECTION_SIZE)
                return fail(f, "expected at most %d bytes in a section's name", SECTION_SIZE - 1);
        snprintf(f->section, sizeof(f->section), "%.*s", (int)(close - line - 1), line + 1);
        r = section_begin(f);
        if (r < 0)
                return r;
        for (rest = close + 1; rest < line + size && strchr(" \t\r", *rest); rest++)
                ;
        if (rest < line + size && *rest != ';' && *rest != '#')
                return fail(f, "[%s]: expected nothing but a comment behind the section's name", shown(f->section).text);
        return 0;
}

static int line_check(struct key_file *f, const char *line, size_t size, size_t max) {
        size_t i;

        if (memchr(line, '\0', size))
                return fail(f, "a NUL byte: expected text");
        if (!key_utf8_ok(line, size))
                return fail(f, "a control character or a byte that is not UTF-8: expected text");
        if (size > max)
                return fail(f, "%zu bytes: expected at most %zu in a line", size, max);
        if (!size || line[0] == ';' || line[0] == '#')
                return 0;
        if (line[0] == '[')
                return section_read(f, line, size);
        for (i = 0; i < size && line[i] != '=' && line[i] != ':'; i++)
                ;
        if (i == size || line[i] == ':')
                return fail(f, "expected [section], key = value or a comment that begins with ;");
        return 0;
}

/* For ini_parse_stream(): the next line without the blanks before it. */
static char *line_next(char *buffer, int room, void *userdata) {
        struct key_file *f = userdata;
        const char *line = f->at, *newline;
        size_t size;

        if (f->result < 0 || f->at == f->end)
                return NULL;
        newline = memchr(line, '\n', (size_t)(f->end - line));
        size = (size_t)((newline ? newline : f->end) - line);
        f->at = newline ? newline + 1 : f->end;
        f->line++;
        if (size && line[size - 1] == '\r')
                size--;
        for (; size && (*line == ' ' || *line == '\t'); size--)
                line++;
        if (line_check(f, line, size, (size_t)room - 3) < 0)
                return NULL;
        memcpy(buffer, line, size);
        strcpy(buffer + size, "\n");
        return buffer;
}

/* File --------------------------------------------------------------------------------------------------------------- */

int key_file_parse(const struct key_table *table, void *object, const char *file, const char *text, size_t size, unsigned refused,
                   char *error, size_t error_size) {
        struct key_file f = {
                .table = table, .object = object, .name = file, .refused = refused, .error = error, .error_size = error_size
        };
        int r;

        f.at = text;
        f.end = text + size;
        if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
                f.at += 3;
        if (&ini_max_line && ini_max_line < LINE_SIZE_MAX)
                ini_max_line = LINE_SIZE_MAX;
        r = ini_parse_stream(line_next, &f, on_key, &f);
        /* A line that inih alone does not like: it reads on, so that a later one may have failed too. */
        if (r > 0 && (f.result >= 0 || (f.result == -EINVAL && (unsigned)r < f.error_line))) {
                f.line = (unsigned)r;
                fail(&f, "expected [section], key = value or a comment that begins with ;");
        } else if (r < 0 && f.result >= 0) {
                f.result = -ENOMEM;
        }
        text_list_deinit(&f.seen);
        return f.result;
}
