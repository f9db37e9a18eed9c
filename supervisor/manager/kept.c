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

/* Are these the kept files of this module? "my-app@..." is not one of "my". */
static bool belongs(const char *name, const char *module) {
        size_t n = strlen(module);

        return !strncmp(name, module, n) && name[n] == '@';
}

/* NAME@CHOICE@VERSION.smod of this module: its version and choice. */
static bool parse(const char *file, const char *module, char ret_version[64], uint64_t *ret_choice) {
        const char *choice, *version, *end;
        char *behind;

        if (!belongs(file, module))
                return false;
        choice = file + strlen(module) + 1;
        version = strchr(choice, '@');
        end = strrchr(file, '.');
        if (!version || !end || end <= version || (size_t)(end - version - 1) >= 64)
                return false;
        *ret_choice = strtoull(choice, &behind, 16);
        memcpy(ret_version, version + 1, (size_t)(end - version - 1));
        ret_version[end - version - 1] = '\0';
        return behind == version;
}

int kept_find(int state, const char *module, const char *to, const struct text_list *except, struct kept *ret) {
        _cleanup_close_ int folder = openat(state, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct text_list names = { 0 };
        struct kept best = { .fd = -1 }, k;
        const char *file = NULL;
        int r;

        if (folder < 0)
                return -errno;
        r = folder_list(folder, ".smod", &names);
        if (r < 0)
                return r;
        for (size_t i = 0; i < names.n; i++) {
                if (!parse(names.items[i], module, k.version, &k.choice) || text_list_has(except, k.version) ||
                    (to && strcmp(to, k.version) != 0))
                        continue;
                if (file && k.choice < best.choice)
                        continue;
                best = k;
                file = names.items[i];
        }
        best.fd = file ? openat(folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
        r = !file ? -ENOENT : best.fd < 0 ? -errno : 0;
        text_list_deinit(&names);
        if (!r)
                *ret = best;
        return r;
}

int kept_list(int state, const char *module, struct text_list *ret) {
        _cleanup_close_ int folder = openat(state, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct text_list names = { 0 };
        char version[64];
        uint64_t choice;
        int r;

        if (folder < 0)
                return errno == ENOENT ? 0 : -errno;
        r = folder_list(folder, ".smod", &names);
        for (size_t i = 0; r >= 0 && i < names.n; i++) {
                if (parse(names.items[i], module, version, &choice))
                        r = text_list_add(ret, version, strlen(version));
        }
        text_list_deinit(&names);
        return r;
}

int kept_remove(int state, const char *module, const char *version) {
        _cleanup_close_ int folder = openat(state, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct text_list names = { 0 };
        char v[64];
        uint64_t choice;
        int r;

        if (folder < 0)
                return errno == ENOENT ? 0 : -errno;
        r = folder_list(folder, ".smod", &names);
        for (size_t i = 0; r >= 0 && i < names.n; i++) {
                if (parse(names.items[i], module, v, &choice) && (!version || !strcmp(v, version)))
                        r = store_remove(folder, names.items[i]);
        }
        text_list_deinit(&names);
        /* Also when there was none: one that went before may not have gone for good. */
        return r < 0 ? r : store_settle(folder);
}

uint64_t kept_last_choice(int state) {
        _cleanup_close_ int folder = openat(state, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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
static void remove_doubles(int folder, const struct keeping *k) {
        struct text_list names = { 0 };
        char version[64];
        uint64_t choice;

        if (folder_list(folder, ".smod", &names) < 0)
                return;
        for (size_t i = 0; i < names.n; i++)
                if (strcmp(names.items[i], k->name) != 0 && parse(names.items[i], k->module, version, &choice) &&
                    (!strcmp(version, k->version) || !strcmp(version, k->serving)))
                        store_remove(folder, names.items[i]);
        text_list_deinit(&names);
}

static void remove_oldest(int folder, const char *module, uint64_t keep) {
        struct text_list names = { 0 };
        uint64_t n = 0;

        if (folder_list(folder, ".smod", &names) < 0)
                return;
        for (size_t i = 0; i < names.n; i++)
                n += belongs(names.items[i], module);
        for (size_t i = 0; i < names.n && n > keep; i++) {
                if (!belongs(names.items[i], module))
                        continue;
                store_remove(folder, names.items[i]);
                n--;
        }
        text_list_deinit(&names);
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
                remove_doubles(folder, k);
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
