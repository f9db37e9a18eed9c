/* SPDX-License-Identifier: Apache-2.0
 *
 * Which methods a manifest provides and which of another's it may call. Pure.
 * A method's id is its place among all methods of the manifest, from 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/manifest.h"

#define MANIFEST_METHODS_MAX 1023
#define MANIFEST_METHOD_SIZE 128 /* "service.method" and NUL */

size_t manifest_n_methods(const struct manifest *manifest);
/* "kv.get" for an id; false when there is no such id. */
bool manifest_method(const struct manifest *manifest, size_t id, char ret_name[static MANIFEST_METHOD_SIZE], bool *ret_idempotent);
/* As the package itself calls it, whatever the operator has made of its service's name. */
bool manifest_method_own(const struct manifest *manifest, size_t id, char ret_name[static MANIFEST_METHOD_SIZE]);
bool manifest_provides(const struct manifest *manifest, const char *service);
/* The first service that both provide; NULL when there is none. */
const char *manifest_shared_service(const struct manifest *a, const struct manifest *b);
/* Changes when a method's id, name or nature does. */
uint32_t manifest_methods_hash(const struct manifest *manifest);

/* Does [calls] allow list the method, or its whole service? */
bool manifest_may_call(const struct manifest *caller, const char *method);
/* The ids of `provider` that the caller may call, as bits; false when there is none. */
bool manifest_grant(const struct manifest *caller, const struct manifest *provider,
                    uint64_t ret_bits[static(MANIFEST_METHODS_MAX + 1) / 64]);
