/* SPDX-License-Identifier: Apache-2.0
 *
 * A line as "state: write", "mmap without PROT_EXEC".
 */
#include "supervisor/common/confine-text.h"

#include <ctype.h>
#include <string.h>

#include "supervisor/common/confine.h"

/* A bar would end the cell of a table. */
static void put(char c, FILE *out) {
        if (c == '|')
                fputs("and", out);
        else
                fputc(c, out);
}

static void lower(const char *text, FILE *out) {
        for (; *text; text++)
                put(*text == '_' ? '-' : (char)tolower((unsigned char)*text), out);
}

/* "NOT_BOTH PROT_WRITE | PROT_EXEC" */
static void condition(const char *how, FILE *out) {
        size_t n = how ? strcspn(how, " ") : 0;

        if (!how)
                return;
        fputc(' ', out);
        for (size_t i = 0; i < n; i++)
                fputc(how[i] == '_' ? ' ' : tolower((unsigned char)how[i]), out);
        for (how += n; *how; how++)
                put(*how, out);
}

static unsigned calls(unsigned i, const char *mark, FILE *out) {
        const struct confine_line *first = &confine_lines[i];

        fputs(first->kind == CONFINE_NEVER ? "never: " : "", out);
        for (; i < n_confine_lines && confine_lines[i].kind == first->kind && !strcmp(confine_lines[i].why, first->why); i++) {
                fprintf(out, "%s%s%s%s", &confine_lines[i] == first ? "" : ", ", mark, confine_lines[i].what, mark);
                condition(confine_lines[i].how, out);
        }
        return i;
}

unsigned confine_text(unsigned i, const char *mark, FILE *out) {
        const struct confine_line *line = &confine_lines[i];

        switch (line->kind) {
        case CONFINE_ROLE:
                lower(line->how, out);
                break;
        case CONFINE_CAPABILITY:
                fprintf(out, "CAP_%s", line->what);
                break;
        case CONFINE_FOLDER:
                lower(line->what, out);
                fputs(": ", out);
                lower(line->how, out);
                break;
        case CONFINE_PATH:
                fprintf(out, "%s%s%s: ", mark, line->what, mark);
                lower(line->how, out);
                break;
        case CONFINE_LIMIT:
                fprintf(out, "RLIMIT_%s: %s", line->what, line->how);
                break;
        case CONFINE_CALL:
        case CONFINE_NEVER:
                return calls(i, mark, out);
        }
        return i + 1;
}
