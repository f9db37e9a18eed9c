/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept packages: what `soclectl deploy` has superseded stays in the manager's
 * folder for a rollback, as kept/NAME@CHOICE@VERSION.smod. The choice (hex, of
 * one width) makes names sort in the order in which they were chosen; the oldest
 * go when there are more than [deploy] keep.
 *
 * The file leaves the drop directory only when its copy is on the disk: a manager
 * that dies in between leaves it where it is, and the next deployment of the name
 * takes it up again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

#define FOLDER "kept"

struct keeping {
        struct job job;
        struct manager *manager;
        int state, from;
        uint64_t keep;
        char module[CONTROL_NAME_SIZE];
        char file[CONTROL_FILE_SIZE], sha256[SHA256_HEX_SIZE]; /* in the drop directory */
        char name[CONTROL_FILE_SIZE];                          /* kept */
};

/* Are these the kept files of this module? "my-app@..." is not one of "my". */
static bool belongs(const char *name, const char *module) {
        size_t n = strlen(module);

        return !strncmp(name, module, n) && name[n] == '@';
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
        if (r >= 0)
                remove_oldest(folder, k->module, k->keep);
        return r;
}

static void on_removed(struct manager *m, int result, void *userdata) {
        if (result < 0 && result != -ENOENT)
                log_warning("a superseded package could not be taken out of the drop directory: %s", strerror(-result));
}

static void remove_file(struct manager *m, const char *file) {
        base_link_file(m, CONTROL_KIND_FILE_REMOVE, HANDOVER_DROP, file, on_removed, NULL);
}

static void keep_end(struct keeping *k, int result) {
        struct drop_file *f = drop_find(k->manager, k->file);

        if (result < 0)
                log_warning("the superseded package %s cannot be kept for a rollback: %s", k->name, strerror(-result));
        /* Something else may have been put there meanwhile, or the same have been chosen again. */
        if (f && !f->admission && f->candidate && f->candidate->superseded && !strcmp(f->candidate->sha256, k->sha256))
                remove_file(k->manager, k->file);
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

void packages_supersede(struct candidate *c) {
        struct manager *m = c->module->manager;
        struct keeping *k;
        int n;

        if (!c->file || c->superseded)
                return;
        c->superseded = true;
        k = c->manifest.keep ? calloc(1, sizeof(*k)) : NULL;
        if (!k) {
                remove_file(m, c->file->name);
                return;
        }
        *k = (struct keeping){ .job = { .run = keep_run, .done = keep_done }, .manager = m, .state = m->state, .from = -1 };
        k->keep = c->manifest.keep;
        snprintf(k->module, sizeof(k->module), "%s", c->module->name);
        snprintf(k->file, sizeof(k->file), "%s", c->file->name);
        snprintf(k->sha256, sizeof(k->sha256), "%s", c->sha256);
        n = snprintf(k->name, sizeof(k->name), "%s@%016llx@%s.smod", c->module->name, (unsigned long long)c->choice, c->manifest.version);
        if (n < 0 || (size_t)n >= sizeof(k->name))
                keep_end(k, -ENAMETOOLONG);
        else if (base_link_file(m, CONTROL_KIND_FILE_OPEN, HANDOVER_DROP, c->file->name, on_opened, k) < 0)
                keep_end(k, -ENOMEM);
}
