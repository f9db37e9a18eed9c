/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes that the admin API offers: packages are put, modules removed, versions
 * chosen. Each is an operation, and one at a time for a name.
 */
#include "supervisor/manager/admin-change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/admin-operation.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop-put.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/undeploy.h"
#include "supervisor/manager/versions.h"

/* Deployment --------------------------------------------------------------------------------------------------------- */

void admin_put_package(struct manager *m, struct evhttp_request *req, const char *file) {
        char name[CONTROL_NAME_SIZE], version[64];
        struct operation *op;

        if (file[0] == '.' || strchr(file, '/') || strlen(file) >= CONTROL_FILE_SIZE - 8 || !drop_name_split(file, name, version)) {
                admin_problem(req, FAULT_BAD_NAME, "expected NAME-VERSION.smod, NAME as [a-z][a-z0-9-]{0,62}, VERSION as 1.2.3", NULL);
                return;
        }
        if (admin_conflict(m, req, name))
                return;
        op = admin_operation_begin(m, req, OPERATION_DEPLOY, name, file);
        if (!op)
                return;
        snprintf(op->version, sizeof(op->version), "%s", version);
        drop_put(m, op, evhttp_request_get_input_buffer(req), -1);
}

/* What conf.d says is not undone behind its back. True: it was answered. */
static bool is_of_package(struct manager *m, struct evhttp_request *req, const char *name, const char *ending, const char *before,
                          const char *behind) {
        const char *package = of_package(m, name);
        char detail[SHOWN_MAX + 256], hint[SHOWN_MAX + 256];

        if (!package)
                return false;
        snprintf(detail, sizeof(detail), "%s is a module of the package %s by %s, %s", name, package, of_origin(m, name), ending);
        snprintf(hint, sizeof(hint), "%s%s%s", before, package, behind);
        admin_problem(req, FAULT_OF_PACKAGE, detail, hint);
        return true;
}

/* Undeployment ------------------------------------------------------------------------------------------------------- */

void admin_delete_module(struct manager *m, struct evhttp_request *req, char *target) {
        char *at = strchr(target, '@'), *version = at ? at + 1 : NULL;
        struct operation *op;
        struct module *mod;

        if (at)
                *at = '\0';
        if (admin_conflict(m, req, target))
                return;
        if (!undeploy_find(m, target, version)) {
                if (is_of_package(m, req, target, "and is there as long as that line",
                                  "remove the line or the file and `soclectl reload`; `soclectl undeploy ",
                                  "` removes the package and all its modules"))
                        return;
                if (!module_name_ok(target) || (version && (!module_version_ok(version) || strlen(version) >= sizeof(op->version)))) {
                        admin_problem(req, FAULT_NOT_FOUND, "expected NAME or NAME@VERSION", NULL);
                        return;
                }
                op = admin_operation_begin(m, req, OPERATION_UNDEPLOY, target, "");
                if (!op)
                        return;
                snprintf(op->version, sizeof(op->version), "%s", version ? version : "");
                undeploy_kept(m, op);
                return;
        }
        mod = module_get(m, target);
        if (!mod) {
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
                return;
        }
        op = admin_operation_begin(m, req, OPERATION_UNDEPLOY, target, "");
        if (!op)
                return;
        snprintf(op->version, sizeof(op->version), "%s", version ? version : "");
        events_note_operation(op);
        undeploy_begin(mod, op);
}

/* What is there and cannot be acted upon: a package that was refused or may still be, a module of which nothing is wanted any more.
 * version: NULL, any. True: it was answered. */
static bool is_not_possible(struct manager *m, struct evhttp_request *req, const char *name, const char *version) {
        const struct drop_file *f = undeploy_find(m, name, version);
        const struct module *mod = module_find(m, name);
        const char *reason;
        char detail[SHOWN_MAX + 800];

        if (f && f->fault)
                snprintf(detail, sizeof(detail), "%s was refused: %s: %s; possible: to deploy a package that is right, to undeploy %s",
                         f->name, fault_info(f->fault)->code, f->reason, name);
        else if (f)
                snprintf(detail, sizeof(detail), "%s is still being looked at; possible: to try again, to undeploy %s", f->name, name);
        else if (!version && mod && !TAILQ_EMPTY(&mod->candidates))
                snprintf(detail, sizeof(detail), "%s is %s, for its packages were removed; possible: to deploy it", name,
                         state_name(module_state(mod, &reason)));
        else
                return false;
        admin_problem(req, FAULT_ILLEGAL_STATE, detail, NULL);
        return true;
}

/* Restart ------------------------------------------------------------------------------------------------------------ */

/* What serves, or else what ought to. */
static struct drop_file *file_of(const struct module *mod) {
        const struct candidate *c, *newest = NULL;

        if (mod->active && mod->active->file)
                return mod->active->file;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && (!newest || c->choice > newest->choice))
                        newest = c;
        }
        return newest ? newest->file : NULL;
}

/* The package is looked at as if it had changed, so a worker of the same version takes over as one of another would: made before
 * the old one is broken, and when it does not start, the old one serves on. */
static void post_restart(struct manager *m, struct evhttp_request *req, const char *name) {
        struct module *mod = module_find(m, name);
        struct drop_file *f = mod ? file_of(mod) : NULL;
        struct operation *op;

        if (admin_conflict(m, req, name))
                return; /* which may be making it just now */
        if (!f) {
                if (!is_not_possible(m, req, name, NULL))
                        admin_module_not_found(req, name);
                return;
        }
        op = admin_operation_begin(m, req, OPERATION_RESTART, name, f->name);
        if (!op)
                return;
        f->operation = op;
        drop_look(f, false);
}

/* Versions ----------------------------------------------------------------------------------------------------------- */

/* The one parameter that a call may have: NULL without it. False: something else stands there, and that was answered. */
static bool take_version(struct evhttp_request *req, const char *query, const char *key, char ret_version[64]) {
        size_t n = strlen(key);
        _cleanup_free_ char *text = NULL;
        char detail[128];

        ret_version[0] = '\0';
        if (!query || !*query)
                return true;
        if (!strncmp(query, key, n) && query[n] == '=')
                text = evhttp_uridecode(query + n + 1, 0, NULL);
        if (text && module_version_ok(text) && strlen(text) < 64) {
                strcpy(ret_version, text);
                return true;
        }
        snprintf(detail, sizeof(detail), "expected ?%s=VERSION, VERSION as 1.2.3", key);
        admin_problem(req, FAULT_BAD_REQUEST, detail, NULL);
        return false;
}

static struct operation *begin_on_module(struct manager *m, struct evhttp_request *req, enum operation_kind kind, const char *name,
                                         struct module **ret_module) {
        struct module *mod = module_find(m, name);

        if (admin_conflict(m, req, name) ||
            is_of_package(m, req, name, "and follows its versions", "choose a version of ", ", and this one goes along"))
                return NULL;
        if (!mod || !file_of(mod)) {
                if (!is_not_possible(m, req, name, NULL))
                        admin_module_not_found(req, name);
                return NULL;
        }
        *ret_module = mod;
        return admin_operation_begin(m, req, kind, name, "");
}

/* True: it has none, and that was answered. */
static bool lacks_version(struct manager *m, struct evhttp_request *req, const char *name, const char *version) {
        const struct module *mod = module_find(m, name);
        char detail[256];

        if (!mod || !file_of(mod) || of_package(m, name) || version_find(mod, version))
                return false; /* what is wrong then is not the version */
        if (admin_conflict(m, req, name) || is_not_possible(m, req, name, version))
                return true;
        snprintf(detail, sizeof(detail), "%s has no version %s in the drop directory", name, *version ? version : "(none is named)");
        admin_problem(req, FAULT_NOT_FOUND, detail,
                      "`soclectl status NAME` lists them; `soclectl rollback --to` looks among kept packages, too");
        return true;
}

static void post_switch(struct manager *m, struct evhttp_request *req, const char *name, const char *query) {
        struct operation *op;
        struct candidate *c;
        struct module *mod;
        char version[64];

        if (!take_version(req, query, "version", version) || lacks_version(m, req, name, version))
                return;
        op = begin_on_module(m, req, OPERATION_SWITCH, name, &mod);
        c = op ? version_find(mod, version) : NULL;
        /* What is on its way to the kept packages is taken back from there. */
        if (c && c->superseded)
                version_rollback(mod, version, op);
        else if (c)
                version_switch(c, op);
}

static void post_rollback(struct manager *m, struct evhttp_request *req, const char *name, const char *query) {
        struct operation *op;
        struct module *mod;
        char to[64];

        if (!take_version(req, query, "to", to))
                return;
        op = begin_on_module(m, req, OPERATION_ROLLBACK, name, &mod);
        if (op)
                version_rollback(mod, *to ? to : NULL, op);
}

/* POST /v1/modules/NAME/VERB */
void admin_post_module(struct manager *m, struct evhttp_request *req, char *rest, const char *query) {
        const char *name = strsep(&rest, "/");

        if (rest && !strcmp(rest, "restart"))
                post_restart(m, req, name);
        else if (rest && !strcmp(rest, "switch"))
                post_switch(m, req, name, query);
        else if (rest && !strcmp(rest, "rollback"))
                post_rollback(m, req, name, query);
        else
                admin_not_found(req, rest ? rest : "such call");
}
