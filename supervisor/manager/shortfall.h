/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a module's manifest this host cannot enforce.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct manager;
struct manifest;

/* The layers that are in force: enum enforced. */
uint32_t layers_in_force(const struct manager *manager);
/* [{"key": "[limits] cpu", "layer": "cgroup-cpu", "fallback": "none", "asked": true}]; asked: it was said, and is no default. */
json_t *shortfalls_json(const struct manager *manager, const struct manifest *manifest);
/* Those that were asked for, as a sentence; "" when there are none. */
void shortfalls_text(const struct manager *manager, const struct manifest *manifest, char *ret_text, size_t size);
