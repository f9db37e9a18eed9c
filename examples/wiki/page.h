/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in, text out: page names, forms, links between pages, and HTML. Nothing
 * that comes from outside reaches HTML but through html_escape().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* 1 to 64 of letters, digits, '.', '_' and '-', the first a letter or digit: it stands in paths and keys as it is. */
bool page_name_ok(const char *name, size_t size);

void html_escape(FILE *f, const char *text, size_t size);

/* What stands in the frame: a text, and two pieces of HTML. */
struct page_parts {
        const char *title, *actions, *content;
};
/* Writes the frame with {{title}}, {{actions}} and {{content}} replaced; other braces stay. */
void page_write(FILE *f, const char *frame, size_t size, const struct page_parts *parts);

/* [[Name]] becomes a Markdown link to the page, except in code. */
void page_write_links(FILE *f, const char *text, size_t size);

/* The field's value in a urlencoded form, decoded, with lines that end in a newline alone; malloc'ed and terminated. 0, -ENOENT
 * when there is no such field, -EINVAL when it holds a NUL, -ENOMEM. */
int form_field(const char *form, size_t size, const char *name, char **ret_text, size_t *ret_size);

/* Tells two texts apart; "" has one too. */
unsigned long long text_revision(const char *text, size_t size);
