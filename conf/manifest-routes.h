/* SPDX-License-Identifier: Apache-2.0
 *
 * The sections [route PATH] of a manifest: settings of a part of what lies below
 * its prefix. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf/manifest.h"

#define MANIFEST_ROUTES_MAX 32

struct key_group;

extern const struct key_group manifest_route_group;

void manifest_routes_deinit(struct manifest *manifest);
/* An override that is about to be read may say another prefix: then the routes go with it, and without one they go. 0 or
 * -ENOMEM. */
int manifest_routes_follow(struct manifest *manifest, const char *text, size_t size);
/* As manifest_check(). */
int manifest_routes_check(const struct manifest *manifest, const char *file, char *error, size_t error_size);

/* What is in force for a route. */
uint64_t manifest_route_timeout_ms(const struct manifest *manifest, const struct manifest_route *route);
uint64_t manifest_route_body(const struct manifest *manifest, const struct manifest_route *route);
/* The longest that any request of it may take. */
uint64_t manifest_longest_timeout_ms(const struct manifest *manifest);
