/* SPDX-License-Identifier: Apache-2.0
 *
 * The ends of interrupted operations. Nothing is done for them: a new manager does
 * what the files say anyway, and that is what came of the operation; or it is not,
 * and that is told as INTERRUPTED.
 */
#include "supervisor/manager/interrupted.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/manager/drop.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/needs.h"
#include "supervisor/manager/undeploy.h"
#include "supervisor/manager/versions.h"

#define CLOCK_STEP_MS 20 /* of the clock that files are stamped by */

static bool by_api(const struct operation *op) {
        return !strncmp(op->actor, "uid ", 4);
}

bool interrupted_put(const struct manager *m, const char *file) {
        const struct operation *op;

        TAILQ_FOREACH(op, &m->operations.queue, entry) {
                if (op->interrupted && op->state == OPERATION_RUNNING && op->kind == OPERATION_DEPLOY && by_api(op) &&
                    !strcmp(op->file, file))
                        return true;
        }
        return false;
}

static void fail(struct operation *op, const char *what, const struct module *mod) {
        char detail[256];

        if (mod && mod->active)
                snprintf(detail, sizeof(detail), "the manager ended before this did: %s; %s %s serves", what, mod->name,
                         mod->active->manifest.version);
        else
                snprintf(detail, sizeof(detail), "the manager ended before this did: %s", what);
        operation_fail(op, FAULT_INTERRUPTED, detail);
}

/* An upload makes a file that is newer than the operation. */
static bool is_put(const struct manager *m, const struct operation *op) {
        struct stat st;

        return fstatat(m->drop, op->file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000 + CLOCK_STEP_MS >= op->began_ms;
}

static bool is_on_its_way(const struct candidate *c) {
        return c->state == CANDIDATE_STARTING || (c->state == CANDIDATE_RESOLVED && !needs_waits(c));
}

/* Of several names that are made of one package, the module's own. */
static const struct drop_file *file_of(const struct manager *m, const struct operation *op) {
        char name[CONTROL_NAME_SIZE], version[64];
        const struct drop_file *f;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (!strcmp(f->name, op->file) && drop_file_split(f, name, version) && !strcmp(name, op->module))
                        return f;
        }
        return NULL;
}

static void judge_version(struct manager *m, struct operation *op) {
        struct module *mod = module_find(m, op->module);
        struct candidate *c = mod ? version_find(mod, op->version) : NULL;
        const struct drop_file *f = file_of(m, op);

        if (f && (f->admission || f->again))
                return; /* it is being looked at */
        if (op->kind == OPERATION_DEPLOY && by_api(op) && !is_put(m, op))
                fail(op, "the package was not put into the drop directory, and nothing has changed", mod);
        else if (f && f->fault)
                operation_fail(op, f->fault, f->reason);
        else if (!c)
                fail(op, "that version is not in the drop directory", mod);
        else if (module_wanted(mod) == c && is_on_its_way(c))
                return;
        else if (c->state == CANDIDATE_BROKEN || c->state == CANDIDATE_QUARANTINED)
                operation_fail(op, c->fault, c->reason);
        else if (module_wanted(mod) != c || mod->active != c)
                fail(op, "that version is not what serves", mod);
        else if (op->kind == OPERATION_RESTART)
                fail(op, "whether another worker has taken over is not known", mod);
        else
                operation_done(op);
}

static bool has_candidate(const struct module *mod, const char *version) {
        const struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!*version || !strcmp(c->manifest.version, version))
                        return true;
        }
        return false;
}

static void judge_undeploy(struct manager *m, struct operation *op) {
        struct module *mod = module_find(m, op->module);

        if (undeploy_find(m, op->module, *op->version ? op->version : NULL))
                fail(op, "not all files are removed", mod);
        else if (!mod || !has_candidate(mod, op->version))
                operation_done(op);
}

void interrupted_check(struct manager *m) {
        struct operation *op, *next;

        if (m->restoring)
                return;
        for (op = TAILQ_FIRST(&m->operations.queue); op; op = next) {
                next = TAILQ_NEXT(op, entry);
                if (!op->interrupted || op->state != OPERATION_RUNNING)
                        continue;
                if (op->kind == OPERATION_UNDEPLOY)
                        judge_undeploy(m, op);
                else
                        judge_version(m, op);
                if (op->state == OPERATION_RUNNING)
                        continue;
                /* It has just ended: it is not the first to be forgotten. */
                TAILQ_REMOVE(&m->operations.queue, op, entry);
                TAILQ_INSERT_TAIL(&m->operations.queue, op, entry);
        }
}
