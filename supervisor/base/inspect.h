/* SPDX-License-Identifier: Apache-2.0
 *
 * What only root can read of a worker or a role, as numbers for the manager:
 * which kinds of descriptors it has, and which namespaces it is in.
 */
#pragma once

#include <stdint.h>

struct base;
struct role;

void inspect_on_request(struct base *base, struct role *role, uint64_t request, uint64_t instance);
void inspect_on_role_request(struct base *base, struct role *role, uint64_t request, uint64_t pid);
