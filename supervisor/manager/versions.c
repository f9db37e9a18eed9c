/* SPDX-License-Identifier: Apache-2.0
 *
 * Switching and rolling back. Both make a version the newest choice, and the rest
 * is the way of every choice (lifecycle.c): the chosen one serves before the other
 * is let go, and when it does not start, nothing has changed.
 *
 * What `soclectl deploy` has superseded lies among the kept packages: it is put
 * back into the drop directory, under the name that it had there. A rollback of a
 * rollback leads back again: the version before is always the one that was chosen
 * before.
 */
#include "supervisor/manager/versions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop-put.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/kept.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/publish.h"
#include "supervisor/manager/writer.h"

struct candidate *version_find(const struct module *mod, const char *version) {
        struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && !strcmp(c->manifest.version, version))
                        return c;
        }
        return NULL;
}

void version_switch(struct candidate *to, struct operation *op) {
        struct module *mod = to->module;

        of_follow(to);
        snprintf(op->version, sizeof(op->version), "%s", to->manifest.version);
        if (to->file)
                snprintf(op->file, sizeof(op->file), "%s", to->file->name);
        for (int s = STEP_noticed; s <= STEP_unpacked; s++)
                operation_stamp(op, (enum operation_step)s, clock_now_ns());
        operation_tell(op);
        if (mod->active == to && to->state == CANDIDATE_ACTIVE && module_wanted(mod) == to) {
                op->unchanged = true;
                for (int s = STEP_forked; s < N_STEPS; s++)
                        operation_stamp(op, (enum operation_step)s, clock_now_ns());
                operation_done(op);
                return;
        }
        events_note_operation(op);
        candidate_choose_again(to, op, mod->manager->next_choice++);
        lifecycle_reconcile(mod);
}

/* Rollback ----------------------------------------------------------------------------------------------------------- */

struct rollback {
        struct job job;
        TAILQ_ENTRY(rollback) entry; /* of those that wait */
        struct manager *manager;
        uint64_t operation;
        char module[CONTROL_NAME_SIZE], to[64]; /* to: "" = the one before */
        struct text_list there;                 /* versions whose files lie in the drop directory */
        struct kept kept;
        struct text_list all_kept; /* their versions, when it is not among them */
};

static TAILQ_HEAD(, rollback) waiting = TAILQ_HEAD_INITIALIZER(waiting); /* for packages that leave the drop directory */

static const struct candidate *present(const struct module *mod) {
        return mod->active ? mod->active : module_wanted(mod);
}

/* The one before among those with a file; who is asked for by name may be the present one. */
static struct candidate *before(const struct module *mod, const char *to) {
        const struct candidate *now = present(mod);
        struct candidate *c, *best = NULL;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!c->file || (*to && strcmp(c->manifest.version, to) != 0))
                        continue;
                if (!*to && (c == now || c->failed || c->state == CANDIDATE_QUARANTINED))
                        continue;
                if (!best || c->choice > best->choice)
                        best = c;
        }
        return best;
}

static void rollback_free(struct rollback *r) {
        text_list_deinit(&r->there);
        text_list_deinit(&r->all_kept);
        fd_close(r->kept.fd);
        free(r);
}

static int rollback_run(struct job *job) {
        struct rollback *r = (struct rollback *)job;
        int found = kept_find(r->manager->state, r->module, *r->to ? r->to : NULL, &r->there, &r->kept);

        if (found == -ENOENT)
                kept_list(r->manager->state, r->module, &r->all_kept);
        return found;
}

/* " (there: 1.0.0, 1.1.0)", as many as there is room for; "" for none. */
static const char *versions_text(const struct text_list *versions, char *ret_text, size_t size) {
        size_t n = 0;

        ret_text[0] = '\0';
        for (size_t i = 0; i < versions->n && n + strlen(versions->items[i]) + sizeof(" (there: )") < size; i++)
                n += (size_t)snprintf(ret_text + n, size - n, "%s%s", i ? ", " : " (there: ", versions->items[i]);
        if (versions->n)
                snprintf(ret_text + n, size - n, ")");
        return ret_text;
}

static void fail_without(const struct rollback *r, struct module *mod, struct operation *op, int error) {
        const struct candidate *now = present(mod);
        char detail[600], there[200], kept[200];

        versions_text(&r->there, there, sizeof(there));
        versions_text(&r->all_kept, kept, sizeof(kept));
        if (error && error != -ENOENT)
                snprintf(detail, sizeof(detail), "the kept packages: %s", strerror(-error));
        else if (*r->to)
                snprintf(detail, sizeof(detail), "version %s of %s is neither in the drop directory%s nor kept%s", r->to, mod->name, there,
                         kept);
        else
                snprintf(detail, sizeof(detail), "there is no version before %s %s, neither in the drop directory%s nor kept%s", mod->name,
                         now ? now->manifest.version : "", there, kept);
        operation_fail(op, error && error != -ENOENT ? FAULT_NOT_READABLE : FAULT_NO_VERSION, detail);
        if (mod->giving_way)
                publish(mod->manager); /* nobody is to be waited for any more */
}

static void rollback_done(struct job *job, int result) {
        struct rollback *r = (struct rollback *)job;
        struct manager *m = r->manager;
        struct operation *op = operation_find(&m->operations, r->operation);
        struct module *mod = module_find(m, r->module);
        struct candidate *c = mod ? before(mod, r->to) : NULL;

        if (!op || op->state != OPERATION_RUNNING) {
                rollback_free(r);
                return;
        }
        if (m->stopping)
                operation_fail(op, FAULT_STOPPING, "the base is stopping");
        else if (!mod)
                operation_fail(op, FAULT_SUPERSEDED, "the module was removed meanwhile");
        else if (c && (result || c->choice > r->kept.choice))
                version_switch(c, op);
        else if (result)
                fail_without(r, mod, op, result);
        else {
                snprintf(op->version, sizeof(op->version), "%s", r->kept.version);
                snprintf(op->file, sizeof(op->file), "%s-%s.smod", mod->name, r->kept.version);
                operation_tell(op);
                drop_put(m, op, NULL, TAKE_FD(r->kept.fd));
        }
        rollback_free(r);
}

/* A superseded package is on its way from the drop directory to those that are kept, and safe to be found in neither. */
static bool one_leaves(const struct module *mod) {
        const struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && c->superseded)
                        return true;
        }
        return false;
}

static int versions_there(const struct module *mod, struct text_list *list) {
        const struct candidate *c;
        int r = 0;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (r >= 0 && c->file)
                        r = text_list_add(list, c->manifest.version, strlen(c->manifest.version));
        }
        return r;
}

static void rollback_begin(struct rollback *r) {
        struct module *mod = module_find(r->manager, r->module);

        if (!mod || versions_there(mod, &r->there) >= 0) {
                writer_add(r->manager->writer, &r->job);
                return;
        }
        operation_fail(operation_find(&r->manager->operations, r->operation), FAULT_NO_MEMORY, "out of memory");
        rollback_free(r);
}

void versions_look(struct manager *m) {
        struct rollback *r, *next;

        for (r = TAILQ_FIRST(&waiting); r; r = next) {
                struct module *mod = module_find(m, r->module);

                next = TAILQ_NEXT(r, entry);
                if (mod && one_leaves(mod))
                        continue;
                TAILQ_REMOVE(&waiting, r, entry);
                rollback_begin(r);
        }
}

void version_rollback(struct module *mod, const char *to, struct operation *op) {
        struct rollback *r = calloc(1, sizeof(*r));

        if (!r) {
                operation_fail(op, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        *r = (struct rollback){
                .job = { .run = rollback_run, .done = rollback_done }, .manager = mod->manager, .operation = op->id, .kept.fd = -1
        };
        snprintf(r->module, sizeof(r->module), "%s", mod->name);
        snprintf(r->to, sizeof(r->to), "%s", to ? to : "");
        TAILQ_INSERT_TAIL(&waiting, r, entry);
        versions_look(mod->manager);
}

void version_give_way(struct candidate *c, const char *why) {
        struct module *mod = c->module;
        struct operation *op;

        /* Of a module that is being removed, nothing is put back; and somebody may have chosen already. */
        if (mod->undeploy || module_wanted(mod) != c)
                return;
        op = operation_new(&mod->manager->operations, OPERATION_ROLLBACK, mod->name, "");
        log_error("%s %s: it is on probation and gives way to the version before: %s", mod->name, c->manifest.version, why);
        if (!op)
                return;
        snprintf(op->actor, sizeof(op->actor), "probation");
        snprintf(op->replaces, sizeof(op->replaces), "%s", c->manifest.version);
        mod->giving_way = op->id;
        version_rollback(mod, NULL, op);
}

bool version_gives_way(const struct module *mod) {
        const struct operation *op = mod->giving_way ? operation_find(&mod->manager->operations, mod->giving_way) : NULL;

        return op && op->state == OPERATION_RUNNING;
}
