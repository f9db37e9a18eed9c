/* SPDX-License-Identifier: Apache-2.0
 *
 * A wiki out of other modules: pages are values of the service kv, HTML is made
 * by the service markdown, and what surrounds it is a file of the board.
 *
 *   GET  /wiki/              all pages
 *   GET  /wiki/PAGE          one of them
 *   GET  /wiki/PAGE/edit     a form with its text
 *   POST /wiki/PAGE          text=... in a urlencoded form; an empty text removes the page
 *
 * What a call fails with is what the reader gets: 502 when kv died over the
 * request, 503 when it is not there, 504 when it takes too long.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

#include "../common/utf8.h"
#include "page.h"

#define TEXT_MAX ((size_t)256 << 10) /* what markdown takes */
#define KEYS "wiki/"
#define KEY_SIZE (sizeof(KEYS) + 64)

static const char plain_frame[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{{title}}</title></head>\n"
                                  "<body>\n<p><a href=\"/wiki/\">All pages</a> {{actions}}</p>\n{{content}}\n</body>\n</html>\n";

/* HTML that is being written. */
struct html {
        FILE *f;
        char *text;
        size_t size;
};

static int html_open(struct html *html) {
        *html = (struct html){ 0 };
        html->f = open_memstream(&html->text, &html->size);
        return html->f ? 0 : -ENOMEM;
}

static int html_close(struct html *html) {
        FILE *f = html->f;

        html->f = NULL;
        return !f || fclose(f) == 0 ? 0 : -ENOMEM;
}

static void html_deinit(struct html *html) {
        html_close(html);
        free(html->text);
}

/* Calls ---------------------------------------------------------------------------------------------------------------- */

/* Takes the arguments, which may be NULL for want of memory. */
static int call(const char *method, struct socle_buffer *args, int packed, struct socle_result **ret) {
        int r = args ? packed : -ENOMEM;

        if (!r)
                r = socle_call(method, args, NULL, ret);
        socle_buffer_free(args);
        /* That a page is missing is no failure: it is decided who asked. */
        return r > 0 && r != SOCLE_E_NOT_FOUND ? socle_fail(r, "%s: %s", method, socle_error_detail()) : r;
}

static void make_key(char key[static KEY_SIZE], const char *name) {
        snprintf(key, KEY_SIZE, KEYS "%s", name);
}

/* SOCLE_E_NOT_FOUND: there is no such page. The text is a view into the result. */
static int page_get(const char *name, struct socle_result **ret, const char **ret_text, size_t *ret_size) {
        struct socle_buffer *args = socle_buffer_new();
        struct socle_result *result = NULL;
        char key[KEY_SIZE];
        int r;

        make_key(key, name);
        r = call("kv.get", args, args ? socle_pack(args, "{s:s}", "key", key) : 0, &result);
        if (!r)
                r = socle_unpack(socle_result_value(result), "{s:y#}", "value", (const void **)ret_text, ret_size);
        if (r)
                socle_result_free(result);
        else
                *ret = result;
        return r;
}

static int page_put(const char *name, const char *text, size_t size) {
        struct socle_buffer *args = socle_buffer_new();
        struct socle_result *result = NULL;
        char key[KEY_SIZE];
        int r;

        make_key(key, name);
        r = call("kv.put", args, args ? socle_pack(args, "{s:s, s:y#}", "key", key, "value", text, size) : 0, &result);
        socle_result_free(result);
        return r;
}

static int page_delete(const char *name) {
        struct socle_buffer *args = socle_buffer_new();
        struct socle_result *result = NULL;
        char key[KEY_SIZE];
        int r;

        make_key(key, name);
        r = call("kv.delete", args, args ? socle_pack(args, "{s:s}", "key", key) : 0, &result);
        socle_result_free(result);
        return r == SOCLE_E_NOT_FOUND ? 0 : r;
}

/* Writes the Markdown as HTML. */
static int render(FILE *f, const char *text, size_t size) {
        struct socle_result *result = NULL;
        struct socle_buffer *args = NULL;
        struct html source;
        const char *out;
        int r = html_open(&source);

        if (!r) {
                page_write_links(source.f, text, size);
                r = html_close(&source);
        }
        if (!r)
                args = socle_buffer_new();
        if (args)
                r = call("markdown.render", args, socle_pack(args, "{s:y#}", "text", source.text, source.size), &result);
        else if (!r)
                r = -ENOMEM;
        if (!r)
                r = socle_unpack(socle_result_value(result), "{s:s}", "html", &out);
        if (!r)
                fputs(out, f);
        socle_result_free(result);
        html_deinit(&source);
        return r;
}

/* Replies -------------------------------------------------------------------------------------------------------------- */

static int reply_headers(struct socle_reply *reply) {
        static const struct {
                const char *name, *value;
        } headers[] = {
                /* A page shows text and pictures, runs nothing, and its form comes back here. */
                { "content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; img-src https:; form-action 'self'; "
                                             "frame-ancestors 'none'; base-uri 'none'" },
                { "x-content-type-options", "nosniff" },
                { "referrer-policy", "same-origin" },
                { "cache-control", "no-cache" },
        };
        int r = 0;

        for (size_t i = 0; !r && i < sizeof(headers) / sizeof(headers[0]); i++)
                r = socle_reply_header(reply, headers[i].name, headers[i].value);
        return r;
}

/* The frame of the board, whose view lives as long as the request. */
static void get_frame(const void **ret_frame, size_t *ret_size) {
        struct socle_value v;

        if (socle_board_get("wiki.html", &v) == 0 && socle_unpack(&v, "y#", ret_frame, ret_size) == 0)
                return;
        *ret_frame = plain_frame;
        *ret_size = sizeof(plain_frame) - 1;
}

/* Closes and takes the content. */
static int reply_page(struct socle_reply *reply, int status, const char *title, const char *actions, struct html *content) {
        struct page_parts parts = { .title = title, .actions = actions };
        struct html page = { 0 };
        const void *frame;
        size_t size;
        int r;

        r = html_close(content);
        if (!r)
                r = html_open(&page);
        if (!r) {
                parts.content = content->text;
                get_frame(&frame, &size);
                page_write(page.f, frame, size, &parts);
                r = html_close(&page);
        }
        if (!r)
                r = socle_reply_data(reply, status, "text/html; charset=utf-8", page.text, page.size);
        if (!r)
                r = reply_headers(reply);
        html_deinit(content);
        html_deinit(&page);
        return r;
}

static int reply_note(struct socle_reply *reply, int status, const char *title, const char *note) {
        struct html content;
        int r = html_open(&content);

        if (r)
                return r;
        fputs("<p class=\"note\">", content.f);
        html_escape(content.f, note, strlen(note));
        fputs("</p>\n", content.f);
        return reply_page(reply, status, title, "", &content);
}

/* Pages ---------------------------------------------------------------------------------------------------------------- */

static int show_missing(struct socle_reply *reply, const char *name) {
        struct html content;
        int r = html_open(&content);

        if (r)
                return r;
        fprintf(content.f, "<h1>%s</h1>\n<p class=\"note\">There is no such page yet. <a href=\"/wiki/%s/edit\">Write it</a></p>\n", name,
                name);
        return reply_page(reply, 404, name, "", &content);
}

static int show_page(struct socle_reply *reply, const char *name) {
        struct socle_result *stored = NULL;
        struct html content = { 0 };
        const char *text;
        char actions[128];
        size_t size;
        int r;

        r = page_get(name, &stored, &text, &size);
        if (r == SOCLE_E_NOT_FOUND)
                return show_missing(reply, name);
        if (!r)
                r = html_open(&content);
        if (!r)
                r = render(content.f, text, size);
        socle_result_free(stored);
        if (r) {
                html_deinit(&content);
                return r;
        }
        snprintf(actions, sizeof(actions), "<a href=\"/wiki/%s/edit\">Edit</a>", name);
        return reply_page(reply, 200, name, actions, &content);
}

static int show_form(struct socle_reply *reply, int status, const char *name, const char *note, const char *text, size_t size,
                     unsigned long long revision) {
        struct html content;
        char actions[128];
        int r = html_open(&content);

        if (r)
                return r;
        fprintf(content.f, "<h1>Edit %s</h1>\n", name);
        if (note)
                fprintf(content.f, "<p class=\"note\">%s</p>\n", note);
        /* The newline behind the tag is none of the text's. */
        fprintf(content.f,
                "<form method=\"post\" action=\"/wiki/%s\">\n<input type=\"hidden\" name=\"revision\" value=\"%016llx\">\n"
                "<textarea name=\"text\" aria-label=\"Markdown\" autofocus>\n",
                name, revision);
        html_escape(content.f, text, size);
        fputs("</textarea>\n<button>Save</button> Markdown; [[Page]] is a link; an empty page is removed.\n</form>\n", content.f);
        snprintf(actions, sizeof(actions), "<a href=\"/wiki/%s\">Back</a>", name);
        return reply_page(reply, status, name, actions, &content);
}

static int show_edit(struct socle_reply *reply, const char *name) {
        struct socle_result *stored = NULL;
        const char *text = "";
        size_t size = 0;
        int r;

        r = page_get(name, &stored, &text, &size);
        if (!r || r == SOCLE_E_NOT_FOUND)
                r = show_form(reply, 200, name, NULL, text, size, text_revision(text, size));
        socle_result_free(stored);
        return r;
}

/* PAGE or PAGE/edit; the name ends up in ret_name. */
static bool path_parse(const char *path, char ret_name[static 65], bool *ret_edit) {
        const char *name = path + strlen("/wiki/");
        size_t size = strcspn(name, "/");

        if (!page_name_ok(name, size))
                return false;
        *ret_edit = !strcmp(name + size, "/edit");
        memcpy(ret_name, name, size);
        ret_name[size] = '\0';
        return *ret_edit || !name[size];
}

static int on_get(struct socle_request *req, struct socle_reply *reply) {
        char name[65];
        bool edit;

        if (!path_parse(socle_request_path(req), name, &edit))
                return reply_note(reply, 404, "No page", "A page's name is up to 64 letters, digits, dots, underscores and dashes.");
        return edit ? show_edit(reply, name) : show_page(reply, name);
}

/* One that is no page's is not shown. */
static void put_entry(FILE *f, const struct socle_value *key) {
        const char *text = socle_value_text(key), *name = text ? text + strlen(KEYS) : "";

        if (text && !strncmp(text, KEYS, strlen(KEYS)) && page_name_ok(name, strlen(name)))
                fprintf(f, "<li><a href=\"/wiki/%s\">%s</a></li>\n", name, name);
}

static int on_index(struct socle_request *req, struct socle_reply *reply) {
        struct socle_buffer *args = socle_buffer_new();
        struct socle_result *result = NULL;
        struct html content = { 0 };
        struct socle_value keys, key;
        size_t n = 0;
        int more, r;

        r = call("kv.list", args, args ? socle_pack(args, "{s:s}", "prefix", KEYS) : 0, &result);
        if (!r)
                r = socle_unpack(socle_result_value(result), "{s:v, s:b}", "keys", &keys, "more", &more);
        if (!r)
                r = socle_value_items(&keys, &n, &key);
        if (!r)
                r = html_open(&content);
        if (r) {
                socle_result_free(result);
                return r;
        }
        fputs("<h1>Pages</h1>\n<ul class=\"pages\">\n", content.f);
        for (; n; n--, socle_value_next(&key))
                put_entry(content.f, &key);
        fputs(more ? "</ul>\n<p class=\"note\">There are more.</p>\n" : "</ul>\n", content.f);
        socle_result_free(result);
        return reply_page(reply, 200, "Pages", "", &content);
}

/* Saving --------------------------------------------------------------------------------------------------------------- */

/* Another site's form is not the reader's will. Browsers say where a form comes from; other clients say nothing. */
static bool is_foreign(struct socle_request *req) {
        const char *site = socle_request_header(req, "sec-fetch-site", "same-origin");

        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

/* Has the page changed since the form was made? Forms without a revision overwrite. */
static int check_revision(const char *name, const char *form, size_t size, bool *ret_changed, unsigned long long *ret_revision) {
        struct socle_result *stored = NULL;
        const char *text = "";
        char *revision = NULL;
        size_t n = 0;
        int r;

        *ret_changed = false;
        if (form_field(form, size, "revision", &revision, &n))
                return 0;
        n = 0;
        r = page_get(name, &stored, &text, &n);
        if (!r || r == SOCLE_E_NOT_FOUND) {
                *ret_revision = text_revision(text, n);
                *ret_changed = strtoull(revision, NULL, 16) != *ret_revision;
                r = 0;
        }
        socle_result_free(stored);
        free(revision);
        return r;
}

static int save(struct socle_reply *reply, const char *name, const char *form, size_t form_size, const char *text, size_t size) {
        unsigned long long revision;
        char location[80];
        bool changed;
        int r;

        r = check_revision(name, form, form_size, &changed, &revision);
        if (r)
                return r;
        if (changed)
                return show_form(reply, 409, name, "Somebody else has changed this page meanwhile. Saving again overwrites that.", text,
                                 size, revision);
        r = size ? page_put(name, text, size) : page_delete(name);
        if (r)
                return r;
        snprintf(location, sizeof(location), "/wiki/%s", size ? name : "");
        r = reply_note(reply, 303, name, "Saved.");
        return r ? r : socle_reply_header(reply, "location", location);
}

static int on_post(struct socle_request *req, struct socle_reply *reply) {
        static const char type[] = "application/x-www-form-urlencoded";
        const char *form;
        size_t form_size, size;
        char name[65], *text;
        bool edit;
        int r;

        if (!path_parse(socle_request_path(req), name, &edit) || edit)
                return reply_note(reply, 404, "No page", "Pages are saved with POST /wiki/PAGE.");
        if (is_foreign(req))
                return reply_note(reply, 403, name, "This form comes from another site.");
        if (strncasecmp(socle_request_header(req, "content-type", type), type, sizeof(type) - 1) != 0)
                return reply_note(reply, 415, name, "A page is saved with a urlencoded form: text=...");
        form = socle_request_body(req, &form_size);
        r = form_field(form, form_size, "text", &text, &size);
        if (r == -ENOMEM)
                return r;
        if (r)
                return reply_note(reply, 400, name, "The form has no field text, or there is a NUL in it.");
        if (size > TEXT_MAX)
                r = reply_note(reply, 413, name, "A page has at most 256 KiB.");
        else if (!utf8_ok(text, size))
                r = reply_note(reply, 400, name, "A page is UTF-8.");
        else
                r = save(reply, name, form, form_size, text, size);
        free(text);
        return r;
}

static int start(struct socle_module *self) {
        static const struct {
                const char *method, *path;
                socle_handler fn;
        } routes[] = {
                { "GET", "/wiki", on_index },
                { "GET", "/wiki/", on_index },
                { "GET", "/wiki/*", on_get },
                { "POST", "/wiki/*", on_post },
        };
        int r = 0;

        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++)
                r = socle_http_handle(self, routes[i].method, routes[i].path, routes[i].fn);
        return r;
}

SOCLE_MODULE(.start = start);
