/* SPDX-License-Identifier: Apache-2.0
 *
 * Undeployment: of a whole module, or of one version.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* A file of this name, of this version (NULL: of any), in the drop directory; NULL: there is none. */
struct drop_file *undeploy_find(struct manager *manager, const char *name, const char *version);
/* Removes the files of op->version, of all when it is "", and what is kept of it. */
void undeploy_begin(struct module *module, struct operation *op);
/* The same when nothing of it lies in the drop directory: what is kept of it. NOT_FOUND, quietly, when that is nothing, either. */
void undeploy_kept(struct manager *manager, struct operation *op);
/* The file of this one is gone, from where the actor tells: that is an undeployment of its own, unless one is under way to which
 * it belongs. */
void undeploy_notice(struct candidate *candidate, const char *actor);
