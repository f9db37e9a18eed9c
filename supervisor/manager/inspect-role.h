/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in force for the base and its roles, read back from the kernel;
 * Landlock cannot be, so what they say of it is told as that.
 */
#pragma once

#include <jansson.h>

#include "supervisor/manager/manager.h"

/* For status: of the role, or of the base. */
json_t *role_in_force_json(const struct control_role *role);
json_t *base_in_force_json(const struct manager *manager);

/* All of it, with what its table lets it do; NULL when it is gone. */
json_t *role_inspected_json(const struct manager *manager, const struct control_inspected *read);
