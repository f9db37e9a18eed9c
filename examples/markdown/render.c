/* SPDX-License-Identifier: Apache-2.0
 *
 * cmark does the work: CommonMark in, HTML out, in its safe mode. The source
 * may come from anybody, so nothing of it reaches the browser as markup that
 * it wrote itself.
 */
#include "render.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmark.h>

#define OPTIONS (CMARK_OPT_SAFE | CMARK_OPT_VALIDATE_UTF8)

static const char style[] = "body{max-width:50rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 sans-serif}"
                            "pre{overflow:auto;padding:.5rem;background:#eee}code{background:#eee}"
                            "blockquote{margin-left:0;padding-left:1rem;border-left:.2rem solid #ccc}";

void html_escape(FILE *f, const char *text) {
        for (; *text; text++) {
                switch (*text) {
                case '&':
                        fputs("&amp;", f);
                        break;
                case '<':
                        fputs("&lt;", f);
                        break;
                case '>':
                        fputs("&gt;", f);
                        break;
                case '"':
                        fputs("&quot;", f);
                        break;
                default:
                        fputc(*text, f);
                }
        }
}

void url_escape(FILE *f, const char *text) {
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if (isalnum(c) || strchr("-._~/", c))
                        fputc(c, f);
                else
                        fprintf(f, "%%%02X", c);
        }
}

void page_begin(FILE *f, const char *title) {
        fputs("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n"
              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
              f);
        html_escape(f, title);
        fprintf(f, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
}

void page_end(FILE *f) {
        fputs("</body>\n</html>\n", f);
}

/* The text below a node, without its markup. */
static void node_text(FILE *f, cmark_node *node) {
        cmark_iter *iter = cmark_iter_new(node);

        while (cmark_iter_next(iter) != CMARK_EVENT_DONE) {
                cmark_node *at = cmark_iter_get_node(iter);
                const char *literal = cmark_node_get_literal(at);

                if (literal && cmark_node_get_type(at) != CMARK_NODE_HTML_INLINE)
                        fputs(literal, f);
        }
        cmark_iter_free(iter);
}

/* The first heading; malloc'ed, NULL when memory is out. */
static char *document_title(cmark_node *document) {
        cmark_node *node = cmark_node_first_child(document);
        char *title = NULL;
        size_t size;
        FILE *f;

        while (node && cmark_node_get_type(node) != CMARK_NODE_HEADING)
                node = cmark_node_next(node);
        if (!node)
                return strdup("Markdown");
        f = open_memstream(&title, &size);
        if (!f)
                return NULL;
        node_text(f, node);
        if (fclose(f) != 0) {
                free(title);
                return NULL;
        }
        return title;
}

static int render_page(cmark_node *document, const char *body, char **ret_html, size_t *ret_size) {
        char *title = document_title(document), *html = NULL;
        FILE *f = title ? open_memstream(&html, ret_size) : NULL;
        int r = -ENOMEM;

        if (f) {
                page_begin(f, title);
                fputs(body, f);
                page_end(f);
                r = fclose(f) == 0 ? 0 : -ENOMEM;
        }
        free(title);
        if (r < 0)
                free(html);
        else
                *ret_html = html;
        return r;
}

int render_markdown(const char *text, size_t size, bool fragment, char **ret_html, size_t *ret_size) {
        cmark_node *document = cmark_parse_document(text, size, OPTIONS);
        char *body = document ? cmark_render_html(document, OPTIONS) : NULL;
        int r = body ? 0 : -ENOMEM;

        if (body && fragment) {
                *ret_html = body;
                *ret_size = strlen(body);
                body = NULL;
        } else if (body) {
                r = render_page(document, body, ret_html, ret_size);
        }
        free(body);
        if (document)
                cmark_node_free(document);
        return r;
}
