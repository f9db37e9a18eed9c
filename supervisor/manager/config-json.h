/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration as the admin API tells it: each key's value and where it comes
 * from.
 */
#pragma once

#include <jansson.h>

#include "conf/key-table.h"

struct base_config;
struct manifest;

/* {"keys": [{"section", "name", "value", "source", "default", "help"}]}; source: "FILE:LINE", or "default". NULL: out of memory. */
json_t *config_json_base(const struct base_config *config);
/* The same of a module's manifest, the operator's file over it. [env] and [config] are there, [services] is not. */
json_t *config_json_manifest(const struct manifest *manifest);
