/* SPDX-License-Identifier: Apache-2.0
 *
 * What modules under another name have to do with their package: where their
 * drop_files come from, whose choices they follow, and who waits for whom.
 */
#include "supervisor/manager/of.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/kept.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/strategy.h"
#include "supervisor/manager/versions.h"

/* Who is of what ------------------------------------------------------------------------------------------------------ */

static const struct alias *alias_find(const struct manager *m, const char *name) {
        const struct alias *a;

        TAILQ_FOREACH(a, &m->aliases, entry) {
                if (a->package[0] && !strcmp(a->name, name))
                        return a;
        }
        return NULL;
}

const char *of_package(const struct manager *m, const char *name) {
        const struct alias *a = alias_find(m, name);

        return a ? a->package : NULL;
}

const char *of_origin(const struct manager *m, const char *name) {
        const struct alias *a = alias_find(m, name);

        return a ? a->origin : "";
}

static bool file_is_of(const struct drop_file *f, const char *package) {
        char name[CONTROL_NAME_SIZE], version[64];

        return drop_name_split(f->name, name, version) && !strcmp(name, package);
}

bool of_stands(const struct drop_file *f) {
        const char *package = of_package(f->manager, f->alias);

        return package && file_is_of(f, package);
}

/* Files --------------------------------------------------------------------------------------------------------------- */

uint64_t of_choice(const struct drop_file *f) {
        const struct drop_file *own = f->alias[0] ? drop_find(f->manager, f->name) : NULL;

        return own && own->candidate ? own->candidate->choice : 0;
}

/* What has arrived under the package's name has arrived for this one, too, and takes the same place in its order. */
static void file_make(const struct drop_file *own, const struct alias *a) {
        struct drop_file *f = drop_get_alias(own->manager, own->name, a->name);

        if (!f || f->choice == own->choice)
                return;
        f->choice = own->choice;
        f->arrived = true;
        f->told = false;
}

void of_look_gone(struct manager *m, const char *file) {
        struct drop_file *f;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (f->alias[0] && !strcmp(f->name, file))
                        drop_look(f, false);
        }
}

void of_look(struct drop_file *own) {
        const struct alias *a;

        if (own->alias[0] || own->admission)
                return;
        TAILQ_FOREACH(a, &own->manager->aliases, entry) {
                if (a->package[0] && file_is_of(own, a->package))
                        file_make(own, a);
        }
        of_look_gone(own->manager, own->name);
}

/* Choices ------------------------------------------------------------------------------------------------------------- */

static void follow(struct candidate *c, const char *package) {
        struct manager *m = c->module->manager;
        struct operation *op = operation_new(&m->operations, OPERATION_SWITCH, c->module->name, c->file->name);

        if (!op)
                return;
        snprintf(op->actor, sizeof(op->actor), "of %.28s", package);
        version_switch(c, op);
}

void of_follow(const struct candidate *to) {
        struct manager *m = to->module->manager;
        struct drop_file *f;

        if (!to->file || to->file->alias[0])
                return;
        TAILQ_FOREACH(f, &m->files, entry) {
                if (f->alias[0] && f->candidate && !strcmp(f->name, to->file->name))
                        follow(f->candidate, to->module->name);
        }
}

static bool is_in_use(const struct candidate *c) {
        return c->module->active == c || strategy_beside(c) || strategy_rests(c);
}

bool of_holds(const struct candidate *c) {
        const struct drop_file *f;

        TAILQ_FOREACH(f, &c->module->manager->files, entry) {
                if (f->alias[0] && f->candidate && is_in_use(f->candidate) && !strcmp(f->name, c->file->name))
                        return true;
        }
        return false;
}

void of_deployed(const struct candidate *of) {
        const char *package = of_package(of->module->manager, of->module->name);
        struct module *mod = package ? module_find(of->module->manager, package) : NULL;
        struct candidate *c;

        if (!mod)
                return;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && c->held && c != mod->active && c != module_wanted(mod) && !of_holds(c))
                        kept_supersede(c);
        }
}

/* Removal ------------------------------------------------------------------------------------------------------------- */

static bool is_going(const struct module *mod) {
        const struct candidate *c;

        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!c->file && !c->replaced_in && !TAILQ_EMPTY(&c->instances))
                        return true;
        }
        return false;
}

bool of_leaves(const struct module *package) {
        struct manager *m = package->manager;
        const struct drop_file *f;
        const struct module *mod;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (f->alias[0] && file_is_of(f, package->name) && !drop_find(m, f->name))
                        return true;
        }
        TAILQ_FOREACH(mod, &m->modules, entry) {
                if (!strcmp(mod->of, package->name) && is_going(mod))
                        return true;
        }
        return false;
}

struct operation *of_undeploy(const struct module *mod) {
        const struct module *package = mod->of[0] ? module_find(mod->manager, mod->of) : NULL;

        return package ? package->undeploy : NULL;
}

void of_on_gone(struct module *mod) {
        struct module *package = mod->of[0] ? module_find(mod->manager, mod->of) : NULL;

        if (package && package->undeploy)
                lifecycle_settle(package);
}

/* What is shown ------------------------------------------------------------------------------------------------------- */

const char *of_state(const struct module *mod, const char **ret_reason) {
        static char reason[CONTROL_FILE_SIZE + 800];
        const struct drop_file *f, *refused = NULL;

        TAILQ_FOREACH(f, &mod->manager->files, entry) {
                if (!strcmp(f->alias, mod->name) && f->fault)
                        refused = f;
        }
        *ret_reason = reason;
        if (refused) {
                snprintf(reason, sizeof(reason), "%s: %s: %s", refused->name, fault_code(refused->fault), refused->reason);
                return "REJECTED";
        }
        snprintf(reason, sizeof(reason), "waits for a package %s in the drop directory (%s: [module] of = %s)", mod->of,
                 of_origin(mod->manager, mod->name), mod->of);
        return "RESOLVED";
}
