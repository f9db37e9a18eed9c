/* SPDX-License-Identifier: Apache-2.0
 *
 * A module that does real work: Markdown to HTML with libcmark.
 *
 *   POST /markdown                     the body's Markdown as a page
 *   GET  /markdown/                    the documents that can be shown
 *   GET  /markdown/doc?path=docs/x.md  one of them
 *
 *   markdown.render {text}             {html}: a fragment
 *
 * ?fragment=1 leaves out what makes HTML a page. Reading and rendering happen
 * in a thread (socle_offload): a long document holds up nobody else's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

#include "documents.h"
#include "render.h"

#define HTML "text/html; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"
/* cmark needs up to 220 times as much memory, and for the worst input 2 s. As [limits] body in the manifest. */
#define MARKDOWN_MAX ((size_t)256 << 10)
/* A page shows text and pictures and runs nothing. */
static const char policy[] = "default-src 'none'; style-src 'unsafe-inline'; img-src https:";

struct job {
        const char *path; /* NULL: text is given */
        const char *text;
        size_t size;
        bool fragment;
        int result; /* as of document_read() */
        const char *type;
        char *out; /* malloc'ed */
        size_t out_size;
};

static bool wants_fragment(struct socle_request *req) {
        return !strcmp(socle_request_query(req, "fragment", "0"), "1");
}

static int reply_job(struct socle_reply *reply, struct job *job) {
        int r = socle_reply_data(reply, 200, job->type, job->out, job->out_size);

        free(job->out);
        if (!r)
                r = socle_reply_header(reply, "content-security-policy", policy);
        if (!r)
                r = socle_reply_header(reply, "x-content-type-options", "nosniff");
        return r;
}

static int reply_refusal(struct socle_reply *reply, int error) {
        static const struct {
                int status;
                const char *code, *detail;
        } refusals[] = {
                [DOCUMENT_E_NOT_FOUND] = { 404, "NOT_FOUND", "there is no such document; GET /markdown/ lists what there is" },
                [DOCUMENT_E_OUTSIDE] = { 403, "OUTSIDE", "the path leads out of its folder" },
                [DOCUMENT_E_TYPE] = { 415, "UNSUPPORTED_TYPE", "only Markdown and plain text can be shown" },
                [DOCUMENT_E_TOO_LARGE] = { 413, "TOO_LARGE", "Markdown of up to 256 KiB and text of up to 1 MiB can be shown" },
                [DOCUMENT_E_DAMAGED] = { 500, "DAMAGED", "the document cannot be decompressed" },
        };

        if (error < 0)
                return error;
        return socle_reply_problem(reply, refusals[error].status, refusals[error].code, refusals[error].detail);
}

/* POST /markdown ----------------------------------------------------------------------------------------------------- */

static void run_render(void *arg) {
        struct job *job = arg;

        if (job->size > MARKDOWN_MAX) {
                job->result = DOCUMENT_E_TOO_LARGE;
                return;
        }
        job->type = HTML;
        job->result = render_markdown(job->text, job->size, job->fragment, &job->out, &job->out_size);
}

static int on_post(struct socle_request *req, struct socle_reply *reply) {
        struct job job = { .fragment = wants_fragment(req) };
        int r;

        job.text = socle_request_body(req, &job.size);
        r = socle_offload(run_render, &job);
        if (r)
                return r;
        return job.result ? reply_refusal(reply, job.result) : reply_job(reply, &job);
}

/* GET /markdown/doc -------------------------------------------------------------------------------------------------- */

static void run_document(void *arg) {
        struct job *job = arg;
        struct document document;

        job->result = document_read(job->path, &document);
        if (job->result)
                return;
        if (document.kind == DOCUMENT_TEXT) {
                job->type = TEXT;
                job->out = document.text;
                job->out_size = document.size;
                return;
        }
        job->text = document.text;
        job->size = document.size;
        run_render(job);
        free(document.text);
}

static int on_document(struct socle_request *req, struct socle_reply *reply) {
        struct job job = { .path = socle_request_query(req, "path", NULL), .fragment = wants_fragment(req) };
        int r;

        if (!job.path)
                return socle_reply_problem(reply, 400, "BAD_REQUEST", "say which document: /markdown/doc?path=docs/README.md");
        r = socle_offload(run_document, &job);
        if (r)
                return r;
        return job.result ? reply_refusal(reply, job.result) : reply_job(reply, &job);
}

/* GET /markdown/ ----------------------------------------------------------------------------------------------------- */

static void run_list(void *arg) {
        struct job *job = arg;
        FILE *f = open_memstream(&job->out, &job->out_size);

        job->type = HTML;
        job->result = -ENOMEM;
        if (!f)
                return;
        page_begin(f, "Documents");
        fputs("<h1>Documents</h1>\n", f);
        job->result = documents_list(f, "/markdown/doc?path=");
        page_end(f);
        if (fclose(f) != 0)
                job->result = -ENOMEM;
        if (job->result) {
                free(job->out);
                job->out = NULL;
        }
}

static int on_list(struct socle_request *req, struct socle_reply *reply) {
        struct job job = { 0 };
        int r;

        r = socle_offload(run_list, &job);
        if (!r)
                r = job.result;
        return r ? r : reply_job(reply, &job);
}

/* The bus ------------------------------------------------------------------------------------------------------------ */

static int markdown_render(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct job job = { .fragment = true };
        const void *text;
        int r;

        if (socle_unpack(args, "{s:y#}", "text", &text, &job.size))
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected {text}");
        job.text = text;
        r = socle_offload(run_render, &job);
        if (!r)
                r = job.result;
        if (r == DOCUMENT_E_TOO_LARGE)
                return socle_fail(SOCLE_E_TOO_LARGE, "Markdown of up to 256 KiB can be rendered");
        if (!r)
                r = socle_pack(result, "{s:s}", "html", job.out);
        free(job.out);
        return r;
}

/* Start -------------------------------------------------------------------------------------------------------------- */

/* What came in the package lies beside this shared object. */
static int package_folder(char *ret_path, size_t size) {
        const char *slash;
        Dl_info info;

        if (!dladdr(policy, &info) || !(slash = strrchr(info.dli_fname, '/')))
                return -ENOENT;
        if ((size_t)(slash - info.dli_fname) >= size)
                return -ENAMETOOLONG;
        memcpy(ret_path, info.dli_fname, (size_t)(slash - info.dli_fname));
        ret_path[slash - info.dli_fname] = '\0';
        return 0;
}

static int open_documents(void) {
        char package[256], name[256];
        int r;

        r = package_folder(package, sizeof(package));
        if (r)
                return r;
        r = documents_open(socle_config("documents", ""), package, name, sizeof(name));
        if (r)
                socle_log(SOCLE_LOG_ERROR, "[config] documents: %s: %s", name, strerror(-r));
        return r;
}

static int start(struct socle_module *self) {
        static const struct {
                const char *method, *path;
                socle_handler fn;
        } routes[] = {
                { "POST", "/markdown", on_post },
                { "GET", "/markdown", on_list },
                { "GET", "/markdown/", on_list },
                { "GET", "/markdown/doc", on_document },
        };
        int r = open_documents();

        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++)
                r = socle_http_handle(self, routes[i].method, routes[i].path, routes[i].fn);
        return r ? r : socle_method_handle(self, "markdown.render", markdown_render);
}

SOCLE_MODULE(.start = start);
