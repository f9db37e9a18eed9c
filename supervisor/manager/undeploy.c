/* SPDX-License-Identifier: Apache-2.0
 *
 * Removing packages on request. What serves is removed last, and only when what was
 * removed before is gone for good: else, after a power loss, the file of a version
 * that was superseded long ago could be there alone. The kept packages go before it,
 * too: when nothing is in the drop directory any more, nothing is kept, either. And
 * they go after what else was there, for that may have been on its way to them.
 *
 * The rest is the way of every file that goes: its version is not wanted any more.
 */
#include "supervisor/manager/undeploy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/kept.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

/* A file that the base was asked to remove. */
struct removal {
        uint64_t operation;
        char file[CONTROL_FILE_SIZE];
};

struct settling {
        struct job job;
        struct manager *manager;
        uint64_t operation;
        char module[CONTROL_NAME_SIZE], version[64]; /* version: "" = all */
        bool found;                                  /* of what is only kept: it was looked for */
};

static struct settling *settling_new(struct manager *m, const struct operation *op) {
        struct settling *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        s->manager = m;
        s->operation = op->id;
        snprintf(s->module, sizeof(s->module), "%s", op->module);
        snprintf(s->version, sizeof(s->version), "%s", op->version);
        return s;
}

/* The module lets go of it: a failed operation may be forgotten before the last worker has ended. */
static void undeploy_fail(struct manager *m, struct operation *op, int error) {
        struct module *mod = op ? module_find(m, op->module) : NULL;

        if (mod && mod->undeploy == op)
                mod->undeploy = NULL;
        operation_fail(op, fault_of_write(error), strerror(-error));
}

static bool file_is_of(const struct drop_file *f, const char *name, const char *version) {
        char n[CONTROL_NAME_SIZE], v[64];

        return !f->alias[0] && drop_name_split(f->name, n, v) && !strcmp(n, name) && (!version || !strcmp(v, version));
}

struct drop_file *undeploy_find(struct manager *m, const char *name, const char *version) {
        struct drop_file *f;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (file_is_of(f, name, version))
                        return f;
        }
        return NULL;
}

static int settle_run(struct job *job) {
        const struct settling *s = (struct settling *)job;
        int r = store_settle(s->manager->drop);

        if (r < 0)
                log_error("the drop directory cannot be written to the disk: %s", strerror(-r));
        return kept_remove(s->manager->state, s->module, *s->version ? s->version : NULL);
}

static void on_removed(struct manager *m, int result, void *userdata);

static int removal_ask(struct manager *m, struct operation *op, const char *file) {
        struct removal *removal = calloc(1, sizeof(*removal));
        int r;

        if (!removal)
                return -ENOMEM;
        removal->operation = op->id;
        snprintf(removal->file, sizeof(removal->file), "%s", file);
        r = base_link_file(m, CONTROL_KIND_FILE_REMOVE, HANDOVER_DROP, file, on_removed, removal);
        if (r < 0)
                free(removal);
        else
                op->n_waiting++;
        return r;
}

static void settle(struct module *mod, struct operation *op);

/* All answers come later, so the operation cannot end while this asks. Before the last files go, the removal of all others is on the
 * disk, also of one that was taken out by whoever superseded it while we settled: else it might be there again, alone. */
static int remove_files(struct module *mod, struct operation *op) {
        const struct candidate *now = mod->active ? mod->active : module_wanted(mod);
        const char *version = *op->version ? op->version : NULL;
        struct manager *m = mod->manager;
        struct drop_file *f;
        bool any = false;
        int r = 0;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (r < 0 || !file_is_of(f, mod->name, version) || (!op->last_files && now && f->candidate == now))
                        continue;
                r = removal_ask(m, op, f->name);
                any = true;
        }
        if (r >= 0 && !any && !op->last_files) {
                op->last_files = true;
                settle(mod, op);
        }
        return r;
}

static void settle_done(struct job *job, int result) {
        struct settling *s = (struct settling *)job;
        struct manager *m = s->manager;
        struct operation *op = operation_find(&m->operations, s->operation);
        struct module *mod = op ? module_find(m, op->module) : NULL;
        int r = result;

        free(s);
        if (op)
                op->n_waiting--;
        if (!mod)
                return;
        if (r >= 0 && op->state == OPERATION_RUNNING)
                r = remove_files(mod, op);
        if (r < 0)
                undeploy_fail(m, op, r);
        lifecycle_settle(mod);
}

/* Then it goes on. */
static void settle(struct module *mod, struct operation *op) {
        struct settling *s = settling_new(mod->manager, op);

        if (!s) {
                undeploy_fail(mod->manager, op, -ENOMEM);
                return;
        }
        op->n_waiting++;
        s->job = (struct job){ .run = settle_run, .done = settle_done };
        writer_add(mod->manager->writer, &s->job);
}

static void on_removed(struct manager *m, int result, void *userdata) {
        struct removal *removal = userdata;
        struct operation *op = operation_find(&m->operations, removal->operation);
        struct drop_file *f = drop_find(m, removal->file);
        struct module *mod;

        free(removal);
        if (op)
                op->n_waiting--;
        if (result < 0 && result != -ENOENT)
                undeploy_fail(m, op, result);
        else if (op && op->state == OPERATION_RUNNING && !op->n_waiting && !op->last_files && (mod = module_find(m, op->module))) {
                op->last_files = true;
                settle(mod, op);
        }
        if (f && (result >= 0 || result == -ENOENT))
                drop_on_removed(f);
        mod = op ? module_find(m, op->module) : NULL;
        if (mod)
                lifecycle_settle(mod);
}

void undeploy_begin(struct module *mod, struct operation *op) {
        operation_fail(mod->undeploy, FAULT_SUPERSEDED, "somebody has asked for an undeployment meanwhile");
        mod->undeploy = op;
        settle(mod, op);
}

/* What is only kept ------------------------------------------------------------------------------------------------------- */

static int look_run(struct job *job) {
        const struct settling *s = (struct settling *)job;
        struct text_list versions = { 0 };
        int r = kept_list(s->manager->state, s->module, &versions);

        if (r >= 0)
                r = *s->version ? text_list_has(&versions, s->version) : versions.n > 0;
        text_list_deinit(&versions);
        return r;
}

static int remove_run(struct job *job) {
        const struct settling *s = (struct settling *)job;

        return kept_remove(s->manager->state, s->module, *s->version ? s->version : NULL);
}

static void fail_without(struct operation *op) {
        char detail[256];

        if (*op->version)
                snprintf(detail, sizeof(detail), "%s has no version %s", op->module, op->version);
        else
                snprintf(detail, sizeof(detail), "there is no module %s", op->module);
        operation_fail(op, FAULT_NOT_FOUND, detail);
}

/* First it is looked for, and when it was found, removed. */
static void kept_done(struct job *job, int result) {
        struct settling *s = (struct settling *)job;
        struct operation *op = operation_find(&s->manager->operations, s->operation);

        if (op && result > 0 && !s->found) {
                s->found = true;
                operation_speak(op);
                s->job.run = remove_run;
                writer_add(s->manager->writer, &s->job);
                return;
        }
        if (op && result < 0)
                operation_fail(op, fault_of_write(result), strerror(-result));
        else if (op && s->found)
                operation_done(op);
        else if (op)
                fail_without(op);
        free(s);
}

void undeploy_kept(struct manager *m, struct operation *op) {
        struct settling *s = settling_new(m, op);

        if (!s) {
                operation_fail(op, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        op->quiet = true;
        s->job = (struct job){ .run = look_run, .done = kept_done };
        writer_add(m->writer, &s->job);
}

void undeploy_notice(struct candidate *c, const char *actor) {
        struct module *mod = c->module;
        struct manager *m = mod->manager;

        if (mod->undeploy || c->superseded || m->stopping || m->restoring)
                return;
        mod->undeploy = operation_new(&m->operations, OPERATION_UNDEPLOY, mod->name, c->file ? c->file->name : "");
        if (!mod->undeploy)
                return;
        mod->undeploy->by_files = true;
        snprintf(mod->undeploy->version, sizeof(mod->undeploy->version), "%s", c->manifest.version);
        snprintf(mod->undeploy->actor, sizeof(mod->undeploy->actor), "%s", actor);
        events_note_operation(mod->undeploy);
}
