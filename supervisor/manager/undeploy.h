/* SPDX-License-Identifier: Apache-2.0
 *
 * Undeployment: of a whole module, or of one version.
 */
#pragma once

#include <stdbool.h>

#include "supervisor/manager/manager.h"

/* Is there a file of this name, of this version (NULL: of any), in the drop directory? */
bool undeploy_has(struct manager *manager, const char *name, const char *version);
/* Removes the files of op->version, of all when it is "". */
void undeploy_begin(struct module *module, struct operation *op);
