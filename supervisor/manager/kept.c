/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept packages: what `soclectl deploy` has superseded stays in the manager's
 * folder for a rollback, as kept/NAME@CHOICE@VERSION.smod. The choice (hex, of
 * one width) makes names sort in the order in which they were chosen; the oldest
 * go when there are more than [deploy] keep.
 *
 * The file leaves the drop directory only when its copy is on the disk: a manager
 * that dies in between leaves it where it is, and the next deployment of the name
 * takes it up again. A copy goes only when its file has its name in the drop
 * directory for good, or on request (undeploy.c).
 */
#include "supervisor/manager/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/fd.h"
#include "ipc/folder.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/versions.h"
#include "supervisor/manager/writer.h"

#define FOLDER "kept"

struct keeping {
        struct job job;
        struct manager *manager;
        int state, from;
        uint64_t keep;
        char module[CONTROL_NAME_SIZE], version[64], serving[64]; /* serving: what has superseded it */
        char file[CONTROL_FILE_SIZE], sha256[SHA256_HEX_SIZE];    /* in the drop directory */
        char name[CONTROL_FILE_SIZE];                             /* kept */
};

/* NAME@CHOICE@VERSION.smod of this module: its version and choice. */
static bool parse(const char *file, const char *module, char ret_version[64], uint64_t *ret_choice) {
        const char *choice, *version, *end;
        size_t n = strlen(module);
        char *behind;

        if (strncmp(file, module, n) != 0 || file[n] != '@')
                return false;
        choice = file + n + 1;
        version = strchr(choice, '@');
        end = strrchr(file, '.');
        if (!version || !end || end <= version || (size_t)(end - version - 1) >= 64)
                return false;
        *ret_choice = strtoull(choice, &behind, 16);
        memcpy(ret_version, version + 1, (size_t)(end - version - 1));
        ret_version[end - version - 1] = '\0';
        return behind == version;
}

/* Of this module, in the order of their choice; of this version or, without one, of all. None where nothing was ever kept. */
static int files_find(int folder, const char *module, const char *version, struct text_list *ret_files) {
        struct text_list names = { 0 };
        uint64_t choice;
        char v[64];
        int r = folder == -ENOENT ? 0 : folder < 0 ? folder : folder_list(folder, ".smod", &names);

        for (size_t i = 0; r >= 0 && i < names.n; i++)
                if (parse(names.items[i], module, v, &choice) && (!version || !strcmp(v, version)))
                        r = text_list_add(ret_files, names.items[i], strlen(names.items[i]));
        text_list_deinit(&names);
        return r;
}

int kept_find(int state, const char *module, const char *to, const struct text_list *except, struct kept *ret) {
        _cleanup_(text_list_deinit) struct text_list files = { 0 };
        _cleanup_close_ int folder = folder_at(state, FOLDER);
        struct kept k;
        int r = files_find(folder, module, to, &files);

        if (r < 0)
                return r;
        for (size_t i = files.n; i--;) {
                if (!parse(files.items[i], module, k.version, &k.choice) || text_list_has(except, k.version))
                        continue;
                k.fd = openat(folder, files.items[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
                if (k.fd < 0)
                        return -errno;
                *ret = k;
                return 0;
        }
        return -ENOENT;
}

int kept_list(int state, const char *module, struct text_list *ret) {
        _cleanup_(text_list_deinit) struct text_list files = { 0 };
        _cleanup_close_ int folder = folder_at(state, FOLDER);
        struct kept k;
        int r = files_find(folder, module, NULL, &files);

        for (size_t i = 0; r >= 0 && i < files.n; i++)
                if (parse(files.items[i], module, k.version, &k.choice))
                        r = text_list_add(ret, k.version, strlen(k.version));
        return r;
}

static int files_remove(int folder, const struct text_list *files, size_t n) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = store_remove(folder, files->items[i]);
        return r;
}

int kept_remove(int state, const char *module, const char *version) {
        _cleanup_(text_list_deinit) struct text_list files = { 0 };
        _cleanup_close_ int folder = folder_at(state, FOLDER);
        int r = files_find(folder, module, version, &files);

        if (r >= 0)
                r = files_remove(folder, &files, files.n);
        /* Also when there was none: one that went before may not have gone for good. */
        return r < 0 || folder < 0 ? r : store_settle(folder);
}

uint64_t kept_last_choice(int state) {
        _cleanup_close_ int folder = folder_at(state, FOLDER);
        struct text_list names = { 0 };
        uint64_t last = 0;

        if (folder < 0 || folder_list(folder, ".smod", &names) < 0)
                return 0;
        for (size_t i = 0; i < names.n; i++) {
                const char *at = strchr(names.items[i], '@');
                uint64_t choice = at ? strtoull(at + 1, NULL, 16) : 0;

                last = MAX(last, choice);
        }
        text_list_deinit(&names);
        return last;
}

/* A version is kept once, and not while it lies in the drop directory again: there it is safe by now. */
static void remove_doubles(int folder, const struct keeping *k, const char *version) {
        _cleanup_(text_list_deinit) struct text_list files = { 0 };

        files_find(folder, k->module, version, &files);
        for (size_t i = 0; i < files.n; i++)
                if (strcmp(files.items[i], k->name) != 0)
                        store_remove(folder, files.items[i]);
}

static void remove_oldest(int folder, const char *module, uint64_t keep) {
        _cleanup_(text_list_deinit) struct text_list files = { 0 };

        if (files_find(folder, module, NULL, &files) >= 0 && files.n > keep)
                files_remove(folder, &files, files.n - (size_t)keep);
}

static int keep_run(struct job *job) {
        struct keeping *k = (struct keeping *)job;
        _cleanup_close_ int folder = store_folder(k->state, FOLDER);
        int r;

        if (folder < 0)
                return folder;
        store_sweep(folder);
        r = store_copy(folder, k->name, k->from);
        if (r >= 0 && store_settle(k->manager->drop) >= 0) {
                remove_doubles(folder, k, k->version);
                remove_doubles(folder, k, k->serving);
                remove_oldest(folder, k->module, k->keep);
        }
        return r;
}

/* It stays in the drop directory, as if nobody had wanted to take it out. */
static void stays(struct manager *m, const char *file) {
        struct drop_file *f = drop_find(m, file);

        if (f && f->candidate)
                f->candidate->superseded = false;
        versions_look(m);
}

static void on_removed(struct manager *m, int result, void *userdata) {
        _cleanup_free_ char *file = userdata;

        if (result >= 0 || result == -ENOENT)
                return; /* the drop directory says so, too */
        log_warning("the superseded package %s could not be taken out of the drop directory: %s", file, strerror(-result));
        stays(m, file);
}

static void remove_file(struct manager *m, const char *file) {
        char *name = strdup(file);

        if (name && base_link_file(m, CONTROL_KIND_FILE_REMOVE, HANDOVER_DROP, file, on_removed, name) >= 0)
                return;
        free(name);
        stays(m, file);
}

static void keep_end(struct keeping *k, int result) {
        struct drop_file *f = drop_find(k->manager, k->file);
        /* Something else may have been put there meanwhile, or the same have been chosen again. */
        bool goes = f && f->candidate && f->candidate->superseded && !strcmp(f->candidate->sha256, k->sha256);

        if (result < 0)
                log_warning("the superseded package %s cannot be kept for a rollback: %s; it stays in the drop directory", k->file,
                            strerror(-result));
        if (goes && result >= 0 && !f->admission)
                remove_file(k->manager, k->file);
        else if (goes)
                stays(k->manager, k->file); /* it is nowhere else, or something new may be just being looked at there */
        else
                versions_look(k->manager);
        fd_close(k->from);
        free(k);
}

static void keep_done(struct job *job, int result) {
        keep_end((struct keeping *)job, result);
}

static void on_opened(struct manager *m, int result, void *userdata) {
        struct keeping *k = userdata;

        if (result < 0) {
                keep_end(k, result);
                return;
        }
        k->from = result;
        writer_add(m->writer, &k->job);
}

void kept_supersede(struct candidate *c) {
        struct manager *m = c->module->manager;
        struct keeping *k;
        int n;

        if (!c->file || c->superseded)
                return;
        c->superseded = true;
        /* What did not serve well is nothing to go back to. */
        k = c->manifest.keep && c->served && c->state != CANDIDATE_QUARANTINED ? calloc(1, sizeof(*k)) : NULL;
        if (!k) {
                remove_file(m, c->file->name);
                return;
        }
        *k = (struct keeping){ .job = { .run = keep_run, .done = keep_done }, .manager = m, .state = m->state, .from = -1 };
        k->keep = c->manifest.keep;
        snprintf(k->module, sizeof(k->module), "%s", c->module->name);
        snprintf(k->version, sizeof(k->version), "%s", c->manifest.version);
        snprintf(k->serving, sizeof(k->serving), "%s", c->module->active ? c->module->active->manifest.version : "");
        snprintf(k->file, sizeof(k->file), "%s", c->file->name);
        snprintf(k->sha256, sizeof(k->sha256), "%s", c->sha256);
        n = snprintf(k->name, sizeof(k->name), "%s@%016llx@%s.smod", c->module->name, (unsigned long long)c->choice, c->manifest.version);
        if (n < 0 || (size_t)n >= sizeof(k->name))
                keep_end(k, -ENAMETOOLONG);
        else if (base_link_file(m, CONTROL_KIND_FILE_OPEN, HANDOVER_DROP, c->file->name, on_opened, k) < 0)
                keep_end(k, -ENOMEM);
}
