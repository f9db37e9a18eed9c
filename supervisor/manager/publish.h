/* SPDX-License-Identifier: Apache-2.0
 *
 * From modules to the directory that gateways and workers read.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Writes a new generation and tells those who wait for one. */
void publish(struct manager *manager);
/* The module that already has one of the manifest's routes or services ("route /app", "service kv"); NULL when none.
 * `module` itself does not count. */
struct module *publish_conflict(struct manager *manager, const struct manifest *manifest, const char *module, char *ret_what, size_t size);
