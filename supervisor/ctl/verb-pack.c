/* SPDX-License-Identifier: Apache-2.0
 *
 * pack: what a developer can get wrong is told before anything is written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/manifest.h"
#include "conf/package.h"
#include "ipc/fd.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/file.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/verbs.h"

struct packing {
        const char *folder;
        int folder_fd;
        struct manifest manifest;
        char *file; /* NAME-VERSION.smod */
        char *path; /* what is written */
        struct new_file out;
        struct package_report report;
};

static void packing_deinit(struct packing *p) {
        manifest_deinit(&p->manifest);
        fd_close(p->folder_fd);
        file_deinit(&p->out);
        free(p->file);
        free(p->path);
}

/* Each step: true, or false and the problem. ------------------------------------------------------------------------- */

static bool failed(struct answer *answer, const char *path, int error) {
        answer_file_problem(answer, fault_of_write(error), path, error);
        return false;
}

static bool bad(struct answer *answer, enum fault fault, const char *hint, const char *message) {
        answer_problem(answer, fault, hint, "%s", message);
        return false;
}

static bool folder_open(struct packing *p, struct answer *answer) {
        p->folder_fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (p->folder_fd >= 0)
                return true;
        answer_file_problem(answer, FAULT_NOT_READABLE, p->folder, errno);
        return false;
}

static bool manifest_read(struct packing *p, struct answer *answer) {
        static const char hint[] = "a module's folder has a module.ini with [module] name, version and entry";
        _cleanup_free_ char *shown = NULL, *text = NULL;
        char error[512] = "";
        size_t size;
        int r;

        if (asprintf(&shown, "%s/module.ini", p->folder) < 0) {
                shown = NULL;
                return failed(answer, p->folder, ENOMEM);
        }
        r = file_read(p->folder_fd, "module.ini", &text, &size);
        if (r < 0) {
                answer_problem(answer, FAULT_BAD_MANIFEST, hint, "%s: %s", shown, strerror(-r));
                return false;
        }
        r = manifest_parse(&p->manifest, shown, text, size, false, error, sizeof(error));
        if (r == 0)
                r = manifest_check(&p->manifest, shown, error, sizeof(error));
        return r == 0 || bad(answer, FAULT_BAD_MANIFEST, NULL, *error ? error : strerror(-r));
}

static bool entry_check(struct packing *p, struct answer *answer) {
        int r = package_check_entry(p->folder_fd, p->manifest.entry, &p->report);

        return r == 0 || bad(answer, FAULT_BAD_ENTRY, NULL, *p->report.message ? p->report.message : strerror(abs(r)));
}

static bool ends_in_slash(const char *path) {
        size_t n = strlen(path);

        return n && path[n - 1] == '/';
}

/* Where it goes: -o FILE, into the folder -o DIR, or into the current folder. */
static bool path_choose(struct packing *p, const char *output, struct answer *answer) {
        struct stat st;
        int r;

        if (asprintf(&p->file, "%s-%s.smod", p->manifest.name, p->manifest.version) < 0) {
                p->file = NULL;
                return failed(answer, p->folder, ENOMEM);
        }
        if (output && (stat(output, &st) < 0 || !S_ISDIR(st.st_mode)))
                r = asprintf(&p->path, "%s", output);
        else
                r = asprintf(&p->path, "%s%s%s", output ? output : "", output && !ends_in_slash(output) ? "/" : "", p->file);
        if (r < 0)
                p->path = NULL;
        return r >= 0 || failed(answer, p->file, ENOMEM);
}

static bool output_open(struct packing *p, struct answer *answer) {
        int r = file_begin(&p->out, p->path);

        return r == 0 || failed(answer, p->path, -r);
}

static bool package_make(struct packing *p, struct answer *answer) {
        int r = package_pack(p->folder, p->out.fd, &p->report);

        return r == 0 || bad(answer, FAULT_BAD_PACKAGE, "", *p->report.message ? p->report.message : strerror(abs(r)));
}

static bool package_finish(struct packing *p, struct answer *answer) {
        /* never writable for all: the drop directory would refuse it */
        int r = file_finish(&p->out, 0664);
        struct stat st;

        if (r < 0 || fstat(p->out.fd, &st) < 0)
                return failed(answer, p->path, r < 0 ? -r : errno);
        answer->document = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I}", "file", document_string(p->path), "name", p->manifest.name,
                                     "version", p->manifest.version, "size", (json_int_t)st.st_size, "files", (json_int_t)p->report.n_files,
                                     "unpacked_size", (json_int_t)p->report.size);
        return true;
}

/* Warnings ----------------------------------------------------------------------------------------------------------- */

static void warn_of_name(const struct packing *p, FILE *err) {
        const char *slash = strrchr(p->path, '/'), *name = slash ? slash + 1 : p->path;

        if (strcmp(name, p->file) != 0)
                text_line(err, "soclectl: warning: a base takes it only under the name ", p->file, ", not ", name);
}

/* `soclectl pack .` twice: the first one would be in the second. */
static void warn_of_packages(const struct packing *p, FILE *err) {
        DIR *folder = opendir(p->folder);
        const struct dirent *e;

        while (folder && (e = readdir(folder))) {
                const char *dot = strrchr(e->d_name, '.');

                if (e->d_name[0] != '.' && dot && !strcmp(dot, ".smod"))
                        text_line(err, "soclectl: warning: ", p->folder, "/", e->d_name,
                                  " was packed, too: is it meant to be in the package?");
        }
        if (folder)
                closedir(folder);
}

static int on_packed(const struct command *c, const json_t *d, FILE *out) {
        text_line(out, document_text(d, "file"), ": ", text_size((uint64_t)document_number(d, "size")).text, ", ",
                  text_number(document_number(d, "files")).text, document_number(d, "files") == 1 ? " file, " : " files, ",
                  text_size((uint64_t)document_number(d, "unpacked_size")).text, " unpacked");
        return 0;
}

int verb_pack(const struct command *c, FILE *out, FILE *err) {
        _cleanup_(packing_deinit) struct packing p = { .folder = c->args[0], .folder_fd = -1, .out = NEW_FILE_NONE };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        manifest_init(&p.manifest);
        if (folder_open(&p, &answer) && manifest_read(&p, &answer) && entry_check(&p, &answer) &&
            path_choose(&p, c->options[OPTION_output], &answer) && output_open(&p, &answer) && package_make(&p, &answer)) {
                warn_of_packages(&p, err);
                if (package_finish(&p, &answer))
                        warn_of_name(&p, err);
        }
        return answer_finish(&answer, c, on_packed, out, err);
}
