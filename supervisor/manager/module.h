/* SPDX-License-Identifier: Apache-2.0
 *
 * A name and its versions.
 */
#pragma once

#include "supervisor/manager/manager.h"

struct module *module_find(struct manager *manager, const char *name);
struct module *module_get(struct manager *manager, const char *name); /* made when missing; NULL: out of memory */
void module_free_if_empty(struct module *module);
/* The newest choice among those with a file that have not failed; NULL: none. */
struct candidate *module_wanted(const struct module *module);
/* When all have failed in a former life, all are tried again. */
void module_forgive(struct module *module);
/* Its active version's state, else the worst of its versions. */
enum candidate_state module_state(const struct module *module, const char **ret_reason);
