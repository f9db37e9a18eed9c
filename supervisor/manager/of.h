/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules of a package under another name: conf.d/NAME.ini says [module] of = PACKAGE.
 *
 * Such an alias has no file in the drop directory. For each package of PACKAGE there it
 * has a drop_file of its own with the same name (drop_file->alias says whose), which is
 * admitted after the package itself and from then on lives like any other: its own
 * candidate, history, uid, operations. Which version is wanted follows the package.
 */
#pragma once

#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/manager.h"

/* What one file of conf.d says. */
struct alias {
        TAILQ_ENTRY(alias) entry;
        char name[CONTROL_NAME_SIZE], package[CONTROL_NAME_SIZE]; /* package: in force; "": it never said anything that can be */
        char said[CONTROL_NAME_SIZE], origin[SHOWN_MAX + 16];     /* what it says now and where, FILE:LINE */
        char shown[SHOWN_MAX], error[1024];                       /* error: why that does not count */
        uint64_t refused_at;                                      /* CLOCK_REALTIME seconds */
        bool seen;
};

/* Reads conf.d, then looks at every name of the drop directory. */
void of_scan(struct manager *manager);
bool of_busy(const struct manager *manager);

/* The package of which this is a module under another name; NULL: of none. */
const char *of_package(const struct manager *manager, const char *name);
/* Where conf.d says so. */
const char *of_origin(const struct manager *manager, const char *name);
/* Does conf.d still say what this drop_file is there for? */
bool of_stands(const struct drop_file *file);
/* The place of the package itself in the order of choices; 0: it has none. */
uint64_t of_choice(const struct drop_file *file);

/* A package was looked at, or is gone: those of it are looked at. */
void of_look(struct drop_file *file);
void of_look_gone(struct manager *manager, const char *file);
/* A version was chosen, not by arriving: those of the package follow. */
void of_follow(const struct candidate *candidate);
/* Does one of the package's other names serve, or keep a version, from the candidate's file? */
bool of_holds(const struct candidate *candidate);
/* One of them is what was wanted: what the package has superseded may go. */
void of_deployed(const struct candidate *candidate);

/* Is there still something to go of those whose package is being removed? */
bool of_leaves(const struct module *package);
/* The package's removal by which this goes, too; NULL: none. */
struct operation *of_undeploy(const struct module *module);
void of_on_gone(struct module *module); /* an instance or a candidate of it is gone */

/* State and reason of one without any version: it waits for its package, or was refused. */
const char *of_state(const struct module *module, const char **ret_reason);
