/* SPDX-License-Identifier: Apache-2.0
 *
 * Undeployment: of a whole module, or of one version.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* A file of this name, of this version (NULL: of any), in the drop directory; NULL: there is none. */
struct drop_file *undeploy_find(struct manager *manager, const char *name, const char *version);
/* Removes the files of op->version, of all when it is "". */
void undeploy_begin(struct module *module, struct operation *op);
