/* SPDX-License-Identifier: Apache-2.0
 *
 * Markdown and lists of documents as HTML5. Pure: text in, text out; may run in
 * any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Renders Markdown as a page, or without head and body tags as a fragment. Raw HTML and dangerous links of the source are
 * left out. *ret_html is malloc'ed. 0 or -ENOMEM. */
int render_markdown(const char *text, size_t size, bool fragment, char **ret_html, size_t *ret_size);

/* Begins and ends a page; `title` is text. */
void page_begin(FILE *f, const char *title);
void page_end(FILE *f);

/* Text as it may stand in an element or a quoted attribute, and in a query's value. */
void html_escape(FILE *f, const char *text);
void url_escape(FILE *f, const char *text);
