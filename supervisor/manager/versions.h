/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing another version: one whose file lies in the drop directory, or one that
 * is kept of former deployments.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Both begin what the operation, which must be running, ends. */
void version_switch(struct candidate *to, struct operation *op);
/* To the version that was chosen before the present one, or to `to`. */
void version_rollback(struct module *module, const char *to, struct operation *op);
/* By itself: a version on probation that does not stay up gives way to the one before. */
void version_give_way(struct candidate *candidate, const char *why);
/* Is it under way? Then whoever asks for the module waits for the version before. */
bool version_gives_way(const struct module *module);
/* A package has left the drop directory, or stays there after all: who waits for that goes on. */
void versions_look(struct manager *manager);
/* One with a file; NULL. */
struct candidate *version_find(const struct module *module, const char *version);
